// The merging algorithms against ones that look at everything each time.
#include "text/merging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "tests/support/rounds.h"
#include "tests/support/tiny_vocabulary.h"
#include "text/char_pairs.h"

namespace rafter::text {
namespace {

using Rules = std::map<std::pair<TokenId, TokenId>, PairMerge>;

std::optional<PairMerge> find_rule(const Rules& rules, TokenId left, TokenId right) {
    const auto found = rules.find({left, right});
    return found == rules.end() ? std::nullopt : std::optional<PairMerge>(found->second);
}

// Merges the best pair of the whole word, then looks at the whole word again.
std::vector<TokenId> merge_slowly(const Rules& rules, std::vector<TokenId> ids) {
    for (;;) {
        std::optional<PairMerge> best;
        std::size_t at = 0;
        for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
            const auto rule = find_rule(rules, ids[i], ids[i + 1]);
            if (rule && (!best || rule->priority < best->priority)) {
                best = rule;
                at = i;
            }
        }
        if (!best) return ids;
        ids[at] = best->id;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
}

// Ids below n_letters are letters, the others come from merges. Priorities may repeat.
Rules random_rules(std::mt19937& random, TokenId n_letters, TokenId n_merges) {
    Rules rules;
    for (TokenId id = n_letters; id < n_letters + n_merges; ++id) {
        const auto left = static_cast<TokenId>(random() % static_cast<unsigned>(id));
        const auto right = static_cast<TokenId>(random() % static_cast<unsigned>(id));
        rules.try_emplace({left, right}, PairMerge{static_cast<std::uint32_t>(random() % 40), id});
    }
    return rules;
}

TEST(SymbolMerger, TakesTheBestLeftmostPairUntilNoneIsLeft) {
    std::mt19937 random(3);
    for (int round = 0; round < tests::rounds(400); ++round) {
        const Rules rules = random_rules(random, 4, 30);
        SymbolMerger merger;
        for (const std::size_t length : {0U, 1U, 2U, 5U, 31U, 32U, 33U, 34U, 100U, 400U}) {
            std::vector<TokenId> word;
            merger.start(length);
            for (std::size_t i = 0; i < length; ++i) {
                word.push_back(static_cast<TokenId>(random() % 4));
                merger.push(word.back(), 1);
            }
            merger.merge([&](const Symbol& a, const Symbol& b) { return find_rule(rules, a.id, b.id); });
            std::vector<TokenId> merged;
            std::size_t n_bytes = 0;
            for (const Symbol& symbol : merger.symbols()) {
                merged.push_back(symbol.id);
                EXPECT_EQ(symbol.begin, n_bytes);
                n_bytes += symbol.size;
            }
            ASSERT_EQ(merged, merge_slowly(rules, word)) << "length " << length;
            ASSERT_EQ(n_bytes, length);
        }
    }
}

TEST(CharPairs, HasWhatWasAddedAndNothingElse) {
    std::mt19937 random(4);
    CharPairs pairs;
    std::map<std::pair<std::uint32_t, std::uint32_t>, bool> added;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint32_t first = random() % 300;
        const std::uint32_t second = random() % (i % 2 == 0 ? 300 : 0x110100);
        pairs.add(first, second);
        added[{first, second}] = true;
    }
    for (std::uint32_t first = 0; first < 310; ++first) {
        for (std::uint32_t second = 0; second < 310; ++second) ASSERT_EQ(pairs.has(first, second), added.contains({first, second}));
    }
    for (const auto& [pair, yes] : added) ASSERT_TRUE(pairs.has(pair.first, pair.second));
}

// What SentencePiece's description says, over the whole text: merge the neighbours whose joined text is the token of the highest score.
std::vector<TokenId> encode_slowly(const TinyVocabulary& vocabulary, const std::map<std::string, TokenId>& ids, const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < text.size(); i += text_unit_at(text, i).size) parts.push_back(text.substr(i, text_unit_at(text, i).size));
    for (;;) {
        std::optional<double> best;
        std::size_t at = 0;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto id = ids.find(parts[i] + parts[i + 1]);
            if (id == ids.end()) continue;
            const double score = vocabulary.scores[static_cast<std::size_t>(id->second)];
            if (!best || score > *best) {
                best = score;
                at = i;
            }
        }
        if (!best) break;
        parts[at] += parts[at + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    std::vector<TokenId> out;
    for (const std::string& part : parts) {
        if (const auto id = ids.find(part); id != ids.end()) {
            out.push_back(id->second);
        } else {
            for (const char c : part) out.push_back(3 + static_cast<unsigned char>(c));
        }
    }
    return out;
}

TEST(SpaceMarkEncoder, CutsTextOnlyWhereNothingMergesAcross) {
    std::mt19937 random(5);
    const std::vector<std::string> letters = {"a", "b", "\xC3\xA4", "\xE2\x96\x81"};  // the last one is the mark for a space
    for (int round = 0; round < tests::rounds(200); ++round) {
        std::vector<std::string> pieces = {"a", "b"};
        for (int i = 0; i < 25; ++i) {
            std::string piece;
            for (std::size_t n = 2 + random() % 3; n > 0; --n) piece += letters[random() % letters.size()];
            if (std::ranges::find(pieces, piece) == pieces.end()) pieces.push_back(piece);
        }
        TinyVocabulary vocabulary = TinyVocabulary::of_pieces(pieces);
        for (double& score : vocabulary.scores) score = -static_cast<double>(random() % 12);  // many ties
        vocabulary.more["tokenizer.ggml.add_space_prefix"] = false;
        std::map<std::string, TokenId> ids;
        for (std::size_t i = 259; i < vocabulary.tokens.size(); ++i) ids[vocabulary.tokens[i]] = static_cast<TokenId>(i);
        const auto tokenizer = vocabulary.load();
        for (int i = 0; i < 20; ++i) {
            std::string marked;
            std::string text;
            for (std::size_t n = random() % 80; n > 0; --n) {
                const std::string& letter = letters[random() % letters.size()];
                marked += letter;
                text += &letter == &letters.back() ? " " : letter;
            }
            ASSERT_EQ(tokenizer->encode(text, SpecialTokens::kAsText), encode_slowly(vocabulary, ids, marked)) << text;
        }
    }
}

}  // namespace
}  // namespace rafter::text
