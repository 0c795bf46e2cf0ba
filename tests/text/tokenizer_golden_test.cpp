// Tokenizers against other libraries' results in tests/golden/text (each file names the command that made it).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/tiny_vocabulary.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace rafter::text {
namespace {

nlohmann::json read_golden(const std::string& name) {
    std::ifstream file(std::filesystem::path(RAFTER_SOURCE_DIR) / "tests/golden/text" / name);
    return nlohmann::json::parse(file);
}

// After how many characters each word ends.
std::vector<std::size_t> word_ends(const PreTokenizer& pre_tokenizer, const std::string& text) {
    PreTokenizer::Scratch scratch;
    std::vector<std::size_t> ends;
    std::size_t n_chars = 0;
    pre_tokenizer.split(text, scratch, [&](std::string_view word) {
        for (std::size_t i = 0; i < word.size(); i += utf8_char_at(word, i).size) ++n_chars;
        ends.push_back(n_chars);
    });
    return ends;
}

TEST(TokenizerGolden, PreTokenizersCutWhereTheModelsOwnDo) {
    const nlohmann::json golden = read_golden("pre_tokenizers.json");
    const auto texts = golden["texts"].get<std::vector<std::string>>();
    std::size_t n_families = 0;
    for (const auto& [name, expected] : golden.items()) {
        const PreTokenizerFamily* family = find_pre_tokenizer_family(name);
        if (name == "made_by" || name == "texts") continue;
        ASSERT_NE(family, nullptr) << name;
        const PreTokenizer pre_tokenizer = PreTokenizer::make(*family).value();
        for (std::size_t i = 0; i < texts.size(); ++i) {
            EXPECT_EQ(word_ends(pre_tokenizer, texts[i]), expected[i].get<std::vector<std::size_t>>()) << name << ": " << texts[i];
        }
        ++n_families;
    }
    EXPECT_GE(n_families, 24U);
}

void expect_golden(const std::string& name) {
    const nlohmann::json golden = read_golden(name);
    TinyVocabulary vocabulary;
    vocabulary.model = golden["model"];
    vocabulary.pre = golden.value("pre", "default");
    vocabulary.tokens = golden["tokens"].get<std::vector<std::string>>();
    vocabulary.merges = golden.value("merges", std::vector<std::string>());
    vocabulary.scores = golden.value("scores", std::vector<double>());
    vocabulary.types = golden.value("types", std::vector<std::int64_t>());
    if (vocabulary.model != "gpt2") {
        vocabulary.more["tokenizer.ggml.unknown_token_id"] = std::uint64_t{0};
        vocabulary.more["tokenizer.ggml.add_space_prefix"] = golden["add_space_prefix"].get<bool>();
        vocabulary.more["tokenizer.ggml.remove_extra_whitespaces"] = golden["remove_extra_whitespaces"].get<bool>();
        const auto charsmap = golden["charsmap"].get<std::vector<std::int64_t>>();
        if (!charsmap.empty()) vocabulary.more["tokenizer.ggml.precompiled_charsmap"] = files::MetadataArray(charsmap);
    }
    const auto tokenizer = vocabulary.load();
    const auto texts = golden["texts"].get<std::vector<std::string>>();
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto ids = tokenizer->encode(texts[i], SpecialTokens::kAsText);
        EXPECT_EQ(ids, golden["ids"][i].get<std::vector<TokenId>>()) << name << ": " << texts[i];
        // Unigram normalises, so its texts do not come back.
        if (vocabulary.model == "t5") continue;
        EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kAsText), texts[i]);
    }
}

TEST(TokenizerGolden, ByteLevelBpeEqualsHuggingFaces) { expect_golden("byte_bpe.json"); }
TEST(TokenizerGolden, ScoredMergesEqualSentencePieces) { expect_golden("sentencepiece.json"); }
TEST(TokenizerGolden, ScoredMergesAcrossSpacesEqualSentencePieces) { expect_golden("sentencepiece_no_prefix.json"); }
TEST(TokenizerGolden, UnigramEqualsSentencePieces) { expect_golden("unigram.json"); }

}  // namespace
}  // namespace rafter::text
