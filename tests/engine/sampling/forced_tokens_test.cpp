// Forced tokens along an answer, forwards and back: after any rollback it is as if the tokens taken back had never come.
#include "engine/sampling/forced_tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

constexpr TokenId kUnforced = 100;  // what the logits say

// Six tokens of "a" and "b", and no other.
class ShortPieces : public testing::ByteTokenizer {
  public:
    [[nodiscard]] std::string_view piece(TokenId id, text::SpecialTokens) const override {
        constexpr std::string_view kPieces[] = {"a", "b", "ab", "ba", "aab", ""};
        return kPieces[static_cast<std::size_t>(id)];
    }
};

// The answer's first n tokens.
std::vector<TokenId> answer_of(ForcedAnswer forced, std::size_t n, const std::vector<TokenId>& free = {}) {
    std::vector<TokenId> answer;
    while (answer.size() < n) {
        const TokenId chosen = answer.size() < free.size() ? free[answer.size()] : kUnforced;
        answer.push_back(forced.next().value_or(chosen));
        forced.accept(answer.back());
    }
    return answer;
}

TEST(ForcedAnswer, NothingIsForcedWithoutTokens) {
    EXPECT_EQ(answer_of(ForcedAnswer(), 2), (std::vector<TokenId>{kUnforced, kUnforced}));
    EXPECT_EQ(answer_of(ForcedAnswer(std::vector<ForcedTokens>{{.after = 0, .tokens = {}, .unless = {}}}), 1),
              (std::vector<TokenId>{kUnforced}));
}

TEST(ForcedAnswer, ForcesAtItsPlacesAndOnlyThere) {
    const ForcedAnswer forced(
        std::vector<ForcedTokens>{{.after = 4, .tokens = {7}, .unless = {}}, {.after = 1, .tokens = {5, 6}, .unless = {}}});
    EXPECT_EQ(answer_of(forced, 6), (std::vector<TokenId>{kUnforced, 5, 6, kUnforced, 7, kUnforced}));
    EXPECT_TRUE(forced.from_start().empty());
    const ForcedAnswer from_start(std::vector<ForcedTokens>{{.after = 0, .tokens = {1, 2}, .unless = {}}});
    EXPECT_EQ(answer_of(from_start, 3), (std::vector<TokenId>{1, 2, kUnforced}));
    EXPECT_EQ(from_start.from_start().size(), 2U);
}

TEST(ForcedAnswer, TokensThatAreDueWaitForThoseBeforeThem) {
    const ForcedAnswer forced(
        std::vector<ForcedTokens>{{.after = 0, .tokens = {1, 2, 3}, .unless = {}}, {.after = 1, .tokens = {8, 9}, .unless = {}}});
    EXPECT_EQ(answer_of(forced, 6), (std::vector<TokenId>{1, 2, 3, 8, 9, kUnforced}));
}

TEST(ForcedAnswer, ABudgetEndsOnlyWhatHasNotEndedItself) {
    constexpr TokenId kThinkEnd = 9;
    const ForcedAnswer forced(std::vector<ForcedTokens>{{.after = 3, .tokens = {8, kThinkEnd, 7}, .unless = kThinkEnd}});
    EXPECT_EQ(answer_of(forced, 7), (std::vector<TokenId>{kUnforced, kUnforced, kUnforced, 8, kThinkEnd, 7, kUnforced}));
    EXPECT_EQ(answer_of(forced, 5, {1, kThinkEnd}), (std::vector<TokenId>{1, kThinkEnd, kUnforced, kUnforced, kUnforced}));
    EXPECT_EQ(answer_of(forced, 7, {1, 2, 3, kThinkEnd}), (std::vector<TokenId>{1, 2, 3, 8, kThinkEnd, 7, kUnforced}));  // too late
}

TEST(ForcedAnswer, ABudgetMayEndWithATextOfSeveralTokens) {
    const testing::ByteTokenizer tokenizer({"</", "</th", "ink", "ink>x", ">"});
    const auto id = [&](std::string_view text) { return *tokenizer.find(text); };
    const std::vector<TokenId> closing = {id("</"), 't', 'h', id("ink"), id(">")};
    const ForcedAnswer forced(std::vector<ForcedTokens>{{.after = 5, .tokens = closing, .unless_text = "</think>"}}, &tokenizer);
    const auto is_forced = [&](std::vector<TokenId> free) {
        free.resize(5, 'y');
        std::vector<TokenId> whole = free;
        whole.insert(whole.end(), closing.begin(), closing.end());
        whole.push_back(kUnforced);
        const auto answer = answer_of(forced, whole.size(), free);
        EXPECT_EQ(std::vector<TokenId>(answer.begin(), answer.begin() + 5), free);
        return answer == whole;
    };
    EXPECT_TRUE(is_forced({'a', 'b', 'c'}));
    EXPECT_FALSE(is_forced({'a', id("</th"), id("ink"), id(">")}));
    EXPECT_FALSE(is_forced({id("</"), id("</"), 't', 'h', id("ink>x")}));  // begun twice, and ended within a token
    EXPECT_TRUE(is_forced({'a', id("</th"), 'y', id("ink"), id(">")}));
    EXPECT_TRUE(is_forced({'a', 'b', 'c', id("</th"), id("ink")}));  // too late
    EXPECT_TRUE(is_forced({id("ink"), id("</th"), id("ink"), 'z', id(">")}));
    // A character that has begun comes first, but for one that never ends.
    EXPECT_EQ(answer_of(forced, 8, {'a', 'a', 'a', 'a', 0xE6, 0x97, 0xA5, 'b'})[7], id("</"));
    EXPECT_EQ(answer_of(forced, 8, {'a', 'a', 'a', 'a', 0xE6, 'b', 'b', 'b'})[6], id("</"));
    EXPECT_EQ(answer_of(forced, 9, {'a', 'a', 'a', 'a', 0xF0, 0xF0, 0xF0, 0xF0, 0xF0})[8], id("</"));
}

TEST(ForcedAnswer, AddedTokensComeNextBehindWhatIsBeingForced) {
    ForcedAnswer forced(std::vector<ForcedTokens>{{.after = 1, .tokens = {5, 6}, .unless = {}}, {.after = 5, .tokens = {7}, .unless = {}}});
    forced.add({1, 2});
    EXPECT_EQ(answer_of(forced, 8), (std::vector<TokenId>{1, 2, 5, 6, kUnforced, 7, kUnforced, kUnforced}));
    forced.accept(1);
    forced.accept(2);
    forced.accept(5);
    forced.add({3});
    EXPECT_EQ(answer_of(forced, 4), (std::vector<TokenId>{6, 3, 7, kUnforced}));
}

TEST(ForcedAnswer, ARollbackForgetsWhatWasTakenBack) {
    const ShortPieces tokenizer;
    std::mt19937 random(5);
    for (int round = 0; round < rafter::tests::rounds(500); ++round) {
        std::vector<ForcedTokens> runs(random() % 4);
        for (ForcedTokens& run : runs) {
            run.after = random() % 12;
            run.tokens.resize(random() % 4);
            for (TokenId& token : run.tokens) token = static_cast<TokenId>(random() % 6);
            if (random() % 2) run.unless = static_cast<TokenId>(random() % 6);
            if (random() % 2) run.unless_text = std::vector<std::string>{"ab", "aab", "abab", "b"}[random() % 4];
        }
        ForcedAnswer moved(runs, &tokenizer);
        std::vector<TokenId> answer;
        for (int i = 0; i < 40; ++i) {
            if (random() % 3 == 0) {
                const std::size_t n = random() % (answer.size() + 1);
                moved.rollback(n);
                answer.resize(answer.size() - n);
            } else {
                // Now and then another token than the forced one, as a draft token may be.
                const auto free = static_cast<TokenId>(random() % 6);
                answer.push_back(random() % 4 == 0 ? free : moved.next().value_or(free));
                moved.accept(answer.back());
            }
            ForcedAnswer straight(runs, &tokenizer);
            for (const TokenId token : answer) straight.accept(token);
            ASSERT_EQ(moved.next(), straight.next()) << "round " << round;
        }
    }
}

}  // namespace
}  // namespace rafter::engine
