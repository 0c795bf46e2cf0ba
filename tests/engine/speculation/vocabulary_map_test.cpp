// Which token of a draft model is which of the target's, against the definition taken word by word.
#include "engine/speculation/vocabulary_map.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "tests/engine/fake_model.h"
#include "tests/support/rounds.h"
#include "tests/support/tiny_vocabulary.h"

namespace rafter::engine::tests {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kControl = 3;

struct Word {
    std::string text;
    bool special = false;
    [[nodiscard]] std::string as_text() const { return special ? "" : text; }
};

class Words : public FakeTokenizer {
  public:
    explicit Words(std::vector<Word> words) : words_(std::move(words)) {}
    [[nodiscard]] std::string_view piece(TokenId id, text::SpecialTokens special) const override {
        const Word& word = words_.at(static_cast<std::size_t>(id));
        return word.special && special == text::SpecialTokens::kAsText ? std::string_view() : std::string_view(word.text);
    }
    [[nodiscard]] std::size_t n_tokens() const override { return words_.size(); }

  private:
    std::vector<Word> words_;
};

std::vector<Word> numbered(std::size_t n) {
    std::vector<Word> words;
    for (std::size_t i = 0; i < n; ++i) words.push_back({.text = fmt::format("word {}", i)});
    return words;
}

Result<VocabularyMap> match(const std::vector<Word>& target, const std::vector<Word>& draft) {
    return VocabularyMap::match(Words(target), target.size(), Words(draft), draft.size());
}

std::vector<TokenId> all_of(const VocabularyMap& map, std::size_t n) {
    std::vector<TokenId> ids;
    for (std::size_t id = 0; id < n; ++id) ids.push_back(map.to_draft(static_cast<TokenId>(id)));
    return ids;
}

std::string error_of(const std::vector<Word>& target, const std::vector<Word>& draft) {
    const auto map = match(target, draft);
    if (map) return "";
    EXPECT_EQ(map.error().kind, ErrorKind::kBadInput);
    return map.error().message;
}

TEST(VocabularyMap, EqualVocabulariesAreTheIdentity) {
    text::TinyVocabulary bytes = text::TinyVocabulary::of_bytes({"h e", "he l"});
    bytes.add("<|end|>", kControl);
    bytes.add("", kNormal);
    const text::TinyVocabulary pieces = text::TinyVocabulary::of_pieces({"A", "▁A", "é", "AB"});
    for (const text::TinyVocabulary& vocabulary : {bytes, pieces}) {
        const auto target = vocabulary.load();
        const auto draft = vocabulary.load();
        const std::size_t n = target->n_tokens();
        const auto map = VocabularyMap::match(*target, n, *draft, n);
        ASSERT_TRUE(map.has_value());
        EXPECT_TRUE(map->is_identity());
        std::vector<TokenId> expected(n);
        std::iota(expected.begin(), expected.end(), 0);
        EXPECT_EQ(all_of(*map, n), expected);
        std::vector<float> logits(n), found;
        std::iota(logits.begin(), logits.end(), -3.5F);
        map->to_target_logits(logits, found);
        EXPECT_EQ(found, logits);
    }
}

TEST(VocabularyMap, EqualWordsUnderOtherNumbersAreFound) {
    const auto map = match({{"a"}, {"b"}, {"c"}}, {{"c"}, {"a"}, {"more"}, {"b"}});
    ASSERT_TRUE(map.has_value());
    EXPECT_FALSE(map->is_identity());
    EXPECT_EQ(all_of(*map, 3), (std::vector<TokenId>{1, 3, 0}));
    std::vector<float> target{9.0F};  // what was there goes
    map->to_target_logits(std::vector<float>{0.5F, -1.0F, 7.0F, kNothing}, target);
    EXPECT_EQ(target, (std::vector<float>{-1.0F, kNothing, 0.5F}));
}

TEST(VocabularyMap, SpecialTokensGoByTheirNames) {
    const auto with_specials = [](const std::vector<std::string>& names) {
        text::TinyVocabulary vocabulary = text::TinyVocabulary::of_bytes({});
        for (const std::string& name : names) vocabulary.add(name, kControl);
        return vocabulary.load();
    };
    const auto target = with_specials({"<|start|>", "<|end|>", "<|pad|>"});
    const auto draft = with_specials({"<|pad|>", "<|start|>", "<|end|>"});
    const auto map = VocabularyMap::match(*target, target->n_tokens(), *draft, draft->n_tokens());
    ASSERT_TRUE(map.has_value());
    EXPECT_FALSE(map->is_identity());
    for (const char* name : {"<|start|>", "<|end|>", "<|pad|>"}) EXPECT_EQ(map->to_draft(*target->find(name)), draft->find(name)) << name;
}

TEST(VocabularyMap, ASpecialTokenThatTheDraftLacksIsAnotherSpecialOneAndNoWord) {
    std::vector<Word> target = numbered(40);
    std::vector<Word> draft = numbered(40);
    target.push_back({.text = "<tool>", .special = true});
    draft.insert(draft.begin(), {.text = "<tool>"});  // a word that reads like it is as good as it
    auto map = match(target, draft);
    ASSERT_TRUE(map.has_value());
    EXPECT_EQ(map->to_draft(40), 0);
    draft[0] = {.text = "<other>", .special = true};
    map = match(target, draft);
    ASSERT_TRUE(map.has_value());
    EXPECT_EQ(map->to_draft(40), 0);
    draft[0].special = false;
    map = match(target, draft);
    ASSERT_TRUE(map.has_value());
    EXPECT_EQ(map->to_draft(40), VocabularyMap::kNone);
    // Nor is a word of the target's a special token.
    target[40].special = false;
    draft[0].special = true;
    map = match(target, draft);
    ASSERT_TRUE(map.has_value());
    EXPECT_EQ(map->to_draft(40), VocabularyMap::kNone);
}

// "A" is a byte and a letter; behind other words that are new, all have other numbers.
TEST(VocabularyMap, BytesStayBytesAndLettersLetters) {
    const text::TinyVocabulary plain = text::TinyVocabulary::of_pieces({"A", "B", "▁A"});
    text::TinyVocabulary moved;
    moved.model = plain.model;
    moved.pre = plain.pre;
    for (std::size_t i = 0; i < 3; ++i) moved.add(fmt::format("[CONTROL_{}]", i), kControl);
    for (std::size_t i = 0; i < plain.tokens.size(); ++i) moved.add(plain.tokens[i], plain.types[i]);
    moved.scores.assign(3, 0.0);
    moved.scores.insert(moved.scores.end(), plain.scores.begin(), plain.scores.end());
    const auto target = moved.load();
    const auto draft = plain.load();
    const auto map = VocabularyMap::match(*target, target->n_tokens(), *draft, draft->n_tokens());
    ASSERT_TRUE(map.has_value()) << map.error().message;
    for (std::size_t id = 3; id < target->n_tokens(); ++id) {
        EXPECT_EQ(map->to_draft(static_cast<TokenId>(id)), static_cast<TokenId>(id) - 3) << moved.tokens[id];
    }
}

TEST(VocabularyMap, RefusesMoreThanOneMissingInTwentyAndSaysSo) {
    const auto without = [](std::size_t n, std::size_t n_missing) {
        std::vector<Word> words = numbered(n);
        words.erase(words.begin() + 5, words.begin() + 5 + static_cast<std::ptrdiff_t>(n_missing));
        return words;
    };
    for (const std::size_t n : {20U, 39U, 40U, 60U, 100U, 1000U}) {
        EXPECT_EQ(error_of(numbered(n), without(n, n / 20)), "") << n;
        const std::string refused = error_of(numbered(n), without(n, n / 20 + 1));
        EXPECT_EQ(refused,
                  fmt::format("the draft model's vocabulary differs from the model's: expected at most {1} of {0} tokens to be missing "
                              "from it, found {2}; the first is \"word 5\"",
                              n, n / 20, n / 20 + 1));
    }
    EXPECT_NE(error_of(numbered(19), without(19, 1)), "");
    EXPECT_EQ(error_of(without(100, 60), numbered(100)), "");  // what the draft model has beyond the target's does no harm
    EXPECT_NE(error_of(numbered(3), {}), "");
    EXPECT_EQ(error_of({}, numbered(3)), "");
}

TEST(VocabularyMap, AnErrorShowsAHostileTokenInOneShortLine) {
    const std::string shown = error_of({{.text = "\n\x1b[31m\"\xff" + std::string(1'000'000, 'x'), .special = true}}, numbered(1));
    EXPECT_NE(shown.find(R"("\x0a\x1b[31m\"\xffxxx)"), std::string::npos) << shown;
    EXPECT_LT(shown.size(), 400U);
    EXPECT_TRUE(std::all_of(shown.begin(), shown.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; })) << shown;
}

TEST(VocabularyMap, ModelsMayHaveMoreTokensThanWordsOrFewer) {
    const FakeTokenizer words;
    const auto map = VocabularyMap::match(words, 40, words, 48);
    ASSERT_TRUE(map.has_value());
    EXPECT_FALSE(map->is_identity());
    EXPECT_EQ(map->to_draft(31), 31);
    for (TokenId id = 32; id < 40; ++id) EXPECT_EQ(map->to_draft(id), VocabularyMap::kNone);
    std::vector<float> target;
    map->to_target_logits(std::vector<float>(48, 1.0F), target);
    ASSERT_EQ(target.size(), 40U);
    EXPECT_EQ(target[31], 1.0F);
    EXPECT_EQ(target[32], kNothing);
    EXPECT_TRUE(VocabularyMap::match(words, 40, words, 40)->is_identity());
    // Words without logits are none.
    const auto fewer = VocabularyMap::match(words, 20, words, 32);
    ASSERT_TRUE(fewer.has_value());
    fewer->to_target_logits(std::vector<float>(32, 1.0F), target);
    EXPECT_EQ(target, std::vector<float>(20, 1.0F));
    EXPECT_FALSE(VocabularyMap::match(words, 32, words, 20).has_value());
}

TEST(VocabularyMap, AnyOrderOfWordsGivesTheSameLogitsToTheSameWords) {
    std::mt19937 random(1);
    int n_identities = 0, n_refused = 0, n_shared = 0, n_other_special = 0;
    const int n_rounds = rafter::tests::rounds(2000);
    for (int round = 0; round < n_rounds; ++round) {
        std::vector<Word> target = numbered(1 + random() % 60);
        const std::size_t n_special = random() % 4;
        for (std::size_t i = 0; i < n_special; ++i) target.push_back({.text = fmt::format("<{}>", i), .special = true});
        for (std::size_t i = random() % 3; i > 0; --i) target.push_back(target[random() % target.size()]);
        std::shuffle(target.begin(), target.end(), random);
        std::vector<Word> draft = target;
        if (round % 4 > 0) std::shuffle(draft.begin(), draft.end(), random);
        if (round % 4 > 1) draft.resize(draft.size() - std::min<std::size_t>(draft.size(), random() % 5));
        if (round % 4 > 2) draft.insert(draft.begin() + static_cast<std::ptrdiff_t>(random() % (draft.size() + 1)), {.text = "more"});

        // The definition: the draft's tokens of this name, or of no text at all; the i-th of the target's is the i-th of them.
        const auto expected_for = [&](std::size_t id) -> TokenId {
            for (const bool by_name : {true, false}) {
                const auto alike = [&](const Word& a, const Word& b) { return by_name ? a.text == b.text : a.as_text() == b.as_text(); };
                const auto before = std::count_if(target.begin(), target.begin() + static_cast<std::ptrdiff_t>(id),
                                                  [&](const Word& word) { return alike(word, target[id]); });
                std::vector<TokenId> found;
                for (std::size_t i = 0; i < draft.size(); ++i) {
                    if (alike(draft[i], target[id])) found.push_back(static_cast<TokenId>(i));
                }
                if (found.empty()) continue;
                n_other_special += !by_name;
                n_shared += found.size() > 1;
                return found[std::min(static_cast<std::size_t>(before), found.size() - 1)];
            }
            return VocabularyMap::kNone;
        };
        std::vector<TokenId> expected;
        for (std::size_t id = 0; id < target.size(); ++id) expected.push_back(expected_for(id));
        const auto n_missing = static_cast<std::size_t>(std::count(expected.begin(), expected.end(), VocabularyMap::kNone));
        const auto map = match(target, draft);
        ASSERT_EQ(map.has_value(), 20 * n_missing <= target.size()) << round;
        if (!map) {
            ++n_refused;
            continue;
        }
        ASSERT_EQ(all_of(*map, target.size()), expected) << round;
        std::vector<TokenId> in_order(draft.size());
        std::iota(in_order.begin(), in_order.end(), 0);
        ASSERT_EQ(map->is_identity(), expected == in_order) << round;
        n_identities += map->is_identity();
        std::vector<float> logits(draft.size()), found;
        for (float& logit : logits) logit = static_cast<float>(random() % 1000);
        map->to_target_logits(logits, found);
        ASSERT_EQ(found.size(), target.size());
        for (std::size_t id = 0; id < target.size(); ++id) {
            ASSERT_EQ(found[id], expected[id] == VocabularyMap::kNone ? kNothing : logits[static_cast<std::size_t>(expected[id])]) << round;
        }
    }
    EXPECT_GT(n_identities, n_rounds / 8);
    EXPECT_GT(n_refused, n_rounds / 20);
    EXPECT_GT(n_shared, n_rounds / 4);
    EXPECT_GT(n_other_special, n_rounds / 100);
}

}  // namespace
}  // namespace rafter::engine::tests
