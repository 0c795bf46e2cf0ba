// The index of n-grams against a search through everything, token by token.
#include "engine/speculation/ngram_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

struct SlowText {
    std::uint32_t owner;
    std::vector<TokenId> tokens;
};

// Tokens before `at` in a text that are equal to the last ones of `tokens`, `most` at most.
std::uint32_t equal_before(const std::vector<TokenId>& text, std::size_t at, std::span<const TokenId> tokens, std::uint32_t most) {
    std::uint32_t n = 0;
    while (n < most && n < at && n < tokens.size() && text[at - 1 - n] == tokens[tokens.size() - 1 - n]) ++n;
    return n;
}

struct SlowMatch {
    std::uint32_t longest = 0;  // of all places
    NgramMatch match;           // the latest of the places with the greatest length that has a table
};

std::optional<SlowMatch> slow_find(const std::vector<SlowText>& texts, std::uint32_t owner, std::span<const TokenId> tokens,
                                   std::uint32_t min_match) {
    const auto lengths = NgramIndex::lengths(min_match);
    SlowMatch result;
    std::uint32_t best_table = 0;
    std::uint32_t start = 0;
    for (const SlowText& text : texts) {
        for (std::size_t at = 0; at < text.tokens.size() && text.owner == owner; ++at) {
            const std::uint32_t n = equal_before(text.tokens, at, tokens, lengths.back());
            result.longest = std::max(result.longest, n);
            std::uint32_t table = 0;
            for (std::size_t i = 0; i < NgramIndex::kTables; ++i) table = n >= lengths[i] ? lengths[i] : table;
            if (table > 0 && table >= best_table) {
                best_table = table;
                result.match = {start + static_cast<std::uint32_t>(at), n};
            }
        }
        start += static_cast<std::uint32_t>(text.tokens.size());
    }
    return best_table > 0 ? std::optional(result) : std::nullopt;
}

TEST(NgramIndex, LengthsGrowByHalf) {
    EXPECT_EQ(NgramIndex::lengths(2), (NgramIndex::Lengths{2, 3, 5, 8, 12, 18, 27, 41}));
    for (std::uint32_t min_match = 1; min_match < 10; ++min_match) {
        const auto lengths = NgramIndex::lengths(min_match);
        EXPECT_EQ(lengths[0], min_match);
        for (std::size_t i = 1; i < lengths.size(); ++i) EXPECT_GT(lengths[i], lengths[i - 1]);
    }
}

TEST(NgramIndex, FindsWhatASearchThroughTheWholeTextFindsAfterEachToken) {
    std::mt19937 random(1);
    int n_found = 0;
    int n_beyond_tables = 0;
    constexpr int kSteps = rafter::tests::rounds(100'000);
    for (int step = 0; step < kSteps;) {
        const std::uint32_t min_match = 1 + random() % 4;
        const std::uint32_t n_letters = 1 + random() % 5;
        const double copying = random() % 2 ? 0.03 : 0.0;  // of going on with a copy of something earlier
        NgramIndex index(min_match);
        index.begin_text(7);
        std::vector<SlowText> texts{{7, {}}};
        std::vector<TokenId>& text = texts[0].tokens;
        std::size_t copied_from = 0;
        std::size_t n_copied = 0;
        for (std::uint32_t n = random() % 800; n > 0; --n, ++step) {
            if (n_copied == 0 && !text.empty() && std::uniform_real_distribution(0.0, 1.0)(random) < copying) {
                copied_from = random() % text.size();
                n_copied = random() % 60;
            }
            auto token = static_cast<TokenId>(random() % n_letters);
            if (n_copied > 0) {
                token = text[copied_from++];
                --n_copied;
            }
            text.push_back(token);
            index.append(token);
            const auto expected = slow_find(texts, 7, text, min_match);
            const auto found = index.find(7, text);
            ASSERT_EQ(found.has_value(), expected.has_value()) << "step " << step;
            ASSERT_FALSE(index.find(8, text));
            if (!found) continue;
            ASSERT_EQ(found->position, expected->match.position) << "step " << step;
            ASSERT_EQ(found->length, expected->match.length) << "step " << step;
            ASSERT_LE(expected->longest, std::max(index.longest(), found->length * 2)) << "step " << step;
            const auto rest = index.continuation(*found);
            ASSERT_TRUE(std::equal(rest.begin(), rest.end(), text.begin() + found->position, text.end()));
            ++n_found;
            n_beyond_tables += found->length > 18 ? 1 : 0;
        }
    }
    EXPECT_GT(n_found, kSteps / 2);
    EXPECT_GT(n_beyond_tables, kSteps / 100);
}

TEST(NgramIndex, KeepsOwnersApartAndTextsWhole) {
    std::mt19937 random(2);
    int n_found = 0;
    for (int round = 0; round < rafter::tests::rounds(100); ++round) {
        NgramIndex index(2);
        std::vector<SlowText> texts;
        for (int t = 0; t < 30; ++t) {
            texts.push_back({static_cast<std::uint32_t>(random() % 3), {}});
            index.begin_text(texts.back().owner);
            for (std::uint32_t n = random() % 40; n > 0; --n) {
                texts.back().tokens.push_back(random() % 4);
                index.append(texts.back().tokens.back());
            }
            for (std::uint32_t owner = 0; owner < 4; ++owner) {
                std::vector<TokenId> query(random() % 20);
                for (TokenId& token : query) token = random() % 4;
                const auto expected = slow_find(texts, owner, query, 2);
                const auto found = index.find(owner, query);
                ASSERT_EQ(found.has_value(), expected.has_value()) << "round " << round << ", text " << t;
                if (!found) continue;
                ASSERT_EQ(found->position, expected->match.position);
                ASSERT_EQ(found->length, expected->match.length);
                std::size_t begin = 0;
                const SlowText* text = texts.data();
                while (begin + text->tokens.size() <= found->position) begin += text++->tokens.size();
                const auto rest = index.continuation(*found);
                ASSERT_TRUE(std::equal(rest.begin(), rest.end(), text->tokens.begin() + (found->position - begin), text->tokens.end()));
                ++n_found;
            }
        }
    }
    EXPECT_GT(n_found, rafter::tests::rounds(1000));
}

TEST(NgramIndex, NeverMatchesByHashAlone) {
    std::mt19937 random(3);
    int n_found = 0;
    for (const std::uint64_t mask : {0ULL, 1ULL, 15ULL}) {
        for (int round = 0; round < rafter::tests::rounds(100); ++round) {
            NgramIndex index(2, mask);
            index.begin_text(0);
            std::vector<SlowText> texts{{0, {}}};
            std::vector<TokenId>& text = texts[0].tokens;
            const bool few = round % 2 == 0;  // n-grams, so few that none is forgotten
            for (int i = 0; i < (few ? 60 : 500); ++i) {
                text.push_back(random() % (few ? 3 : 25));
                index.append(text.back());
                const auto found = index.find(0, text);
                const auto expected = slow_find(texts, 0, text, 2);
                ASSERT_FALSE(index.find(1, text)) << "another owner's";
                if (few) {
                    ASSERT_EQ(found.has_value(), expected.has_value());
                    ASSERT_TRUE(!found || found->position == expected->match.position);
                }
                if (!found) continue;
                ASSERT_GE(found->length, 2U);
                ASSERT_EQ(equal_before(text, found->position, text, index.longest()), found->length);
                ++n_found;
            }
        }
    }
    EXPECT_GT(n_found, rafter::tests::rounds(1000));
}

TEST(NgramIndex, OfNothingOrTooLittleFindsNothing) {
    NgramIndex index(2);
    const std::vector<TokenId> tokens{1, 2, 1, 2};
    EXPECT_FALSE(index.find(0, tokens));
    index.begin_text(0);
    EXPECT_FALSE(index.find(0, tokens));
    index.append(1);
    index.append(2);
    EXPECT_FALSE(index.find(0, tokens)) << "nothing comes after";
    index.append(3);
    EXPECT_EQ(index.find(0, tokens)->position, 2U);
    EXPECT_FALSE(index.find(0, {}));
    EXPECT_FALSE(index.find(0, std::span(tokens).last(1)));
}

}  // namespace
}  // namespace rafter::engine
