// Unigram tokenising against all ways to write a text, and the normalisation table against tables that lie.
#include "text/unigram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>

#include "tests/support/tiny_vocabulary.h"

namespace rafter::text {
namespace {

constexpr TokenId kUnknown = 2;

// <pad>, </s>, <unk> and the pieces.
TinyVocabulary unigram_of(const std::vector<std::pair<std::string, double>>& pieces) {
    TinyVocabulary made;
    made.model = "t5";
    made.pre = "";
    made.add("<pad>", 3);
    made.add("</s>", 3);
    made.add("<unk>", 2);
    made.scores = {0, 0, 0};
    for (const auto& [piece, score] : pieces) {
        made.add(piece, 1);
        made.scores.push_back(score);
    }
    return made;
}

// The highest score of any way to write text from `at` on; an unknown letter costs what the encoder says it does.
double best_score(const TinyVocabulary& vocabulary, const std::string& text, std::size_t at, std::vector<double>& known) {
    if (at == text.size()) return 0;
    if (known[at] < 1) return known[at];
    double lowest = 0;
    for (std::size_t i = 3; i < vocabulary.tokens.size(); ++i) lowest = std::min(lowest, vocabulary.scores[i]);
    double best = lowest - 10 + best_score(vocabulary, text, at + 1, known);
    for (std::size_t i = 3; i < vocabulary.tokens.size(); ++i) {
        const std::string& token = vocabulary.tokens[i];
        if (text.compare(at, token.size(), token) != 0) continue;
        best = std::max(best, vocabulary.scores[i] + best_score(vocabulary, text, at + token.size(), known));
    }
    return known[at] = best;
}

TEST(UnigramEncoder, FindsTheHighestSumOfScores) {
    std::mt19937 random(6);
    for (int round = 0; round < 300; ++round) {
        std::vector<std::pair<std::string, double>> pieces = {{"a", -3.5}, {"b", -4}};
        for (int i = 0; i < 12; ++i) {
            std::string piece;
            for (std::size_t n = 2 + random() % 4; n > 0; --n) piece += "ab"[random() % 2];
            const bool known = std::ranges::any_of(pieces, [&](const auto& p) { return p.first == piece; });
            if (!known) pieces.emplace_back(piece, -1 - static_cast<double>(random() % 1000) / 100);
        }
        const TinyVocabulary vocabulary = unigram_of(pieces);
        const auto tokenizer = vocabulary.load();
        std::string text;
        for (std::size_t n = random() % 60; n > 0; --n) text += "ab"[random() % 2];
        double score = 0;
        std::string joined;
        for (const TokenId id : tokenizer->encode(text, SpecialTokens::kAsText)) {
            score += static_cast<float>(vocabulary.scores[static_cast<std::size_t>(id)]);
            joined += vocabulary.tokens[static_cast<std::size_t>(id)];
        }
        EXPECT_EQ(joined, text);
        std::vector<double> known(text.size() + 1, 1);
        EXPECT_NEAR(score, best_score(vocabulary, text, 0, known), 1e-4) << text;
    }
}

TEST(UnigramEncoder, WritesAnyNumberOfUnknownCharactersAsOneToken) {
    const auto tokenizer = unigram_of({{"a", -1}, {"bc", -1}}).load();
    EXPECT_EQ(tokenizer->encode("axyz\xC3\xA4"
                                "a",
                                SpecialTokens::kAsText),
              (std::vector<TokenId>{3, kUnknown, 3}));
    EXPECT_EQ(tokenizer->encode("b", SpecialTokens::kAsText), (std::vector<TokenId>{kUnknown}));
    EXPECT_EQ(tokenizer->encode("bca\xFF", SpecialTokens::kAsText), (std::vector<TokenId>{4, 3, kUnknown}));
}

TEST(UnigramEncoder, MergesSpacesWhereTheFileSaysSo) {
    TinyVocabulary vocabulary = unigram_of({{"a", -1}, {"\xE2\x96\x81", -1}});
    EXPECT_EQ(vocabulary.load()->encode("a  a ", SpecialTokens::kAsText), (std::vector<TokenId>{3, 4, 4, 3, 4}));
    vocabulary.more["tokenizer.ggml.remove_extra_whitespaces"] = true;
    EXPECT_EQ(vocabulary.load()->encode("a  a ", SpecialTokens::kAsText), (std::vector<TokenId>{4, 3, 4, 3}));
    vocabulary.more["tokenizer.ggml.remove_extra_whitespaces"] = false;
    vocabulary.more["tokenizer.ggml.add_space_prefix"] = true;
    EXPECT_EQ(vocabulary.load()->encode("a a", SpecialTokens::kAsText), (std::vector<TokenId>{4, 3, 4, 3}));
}

TEST(UnigramEncoder, TakesScoresThatAreNumbersOnly) {
    TinyVocabulary vocabulary = unigram_of({{"a", -1}});
    vocabulary.scores[3] = -std::numeric_limits<double>::infinity();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.scores: token 3: expected a finite number, found -inf");
    vocabulary.scores.clear();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.scores: expected a number for each token, found no such key");
}

TEST(PrecompiledCharsmap, StaysInsideATableThatLies) {
    std::mt19937 random(8);
    for (int round = 0; round < 3000; ++round) {
        std::vector<unsigned char> bytes(4);
        const std::size_t n_units = random() % 40;
        bytes[0] = static_cast<unsigned char>(4 * n_units);
        for (std::size_t i = 0; i < 4 * n_units; ++i) bytes.push_back(random() % 3 == 0 ? 0 : static_cast<unsigned char>(random()));
        for (std::size_t i = random() % 20; i > 0; --i) bytes.push_back(static_cast<unsigned char>(random() % 4));
        bytes.push_back(0);
        const auto charsmap = PrecompiledCharsmap::parse(bytes);
        ASSERT_TRUE(charsmap);
        for (int i = 0; i < 20; ++i) {
            std::string input;
            for (std::size_t n = random() % 6; n > 0; --n) input += static_cast<char>(random());
            const auto found = charsmap->longest(input);
            if (!found) continue;
            EXPECT_LE(found->size, input.size());
            EXPECT_LT(found->text.size(), bytes.size());
        }
    }
}

TEST(PrecompiledCharsmap, SaysWhatIsWrongWithATable) {
    const auto error = [](std::vector<unsigned char> bytes) { return PrecompiledCharsmap::parse(bytes).error().message; };
    EXPECT_EQ(error({1, 2}), "expected a trie's size and that many bytes of it (a multiple of 4), found 2 bytes and a size of 0");
    EXPECT_EQ(error({8, 0, 0, 0, 1, 2, 3, 4}),
              "expected a trie's size and that many bytes of it (a multiple of 4), found 8 bytes and a size of 8");
    EXPECT_EQ(error({255, 255, 255, 255}),
              "expected a trie's size and that many bytes of it (a multiple of 4), found 4 bytes and a size of 4294967295");
    EXPECT_EQ(error({4, 0, 0, 0, 1, 2, 3, 4, 'a'}), "expected the last replacement to end in NUL, found 97");
    EXPECT_TRUE(PrecompiledCharsmap::parse({}));
}

}  // namespace
}  // namespace rafter::text
