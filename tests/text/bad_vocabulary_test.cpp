// Vocabularies that are wrong in each way a file can make them: one clear line each, or the reading that is written down for it.
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/support/tiny_vocabulary.h"

namespace rafter::text {
namespace {

TEST(BadVocabulary, WithoutAModelOrOfAnUnknownOne) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    vocabulary.model = "bert";
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.model: expected gpt2, gemma4, llama or t5, found \"bert\"");
    vocabulary.model = "";
    EXPECT_NE(vocabulary.load_error(), "");
    vocabulary.more["tokenizer.ggml.model"] = std::uint64_t{3};
    EXPECT_NE(vocabulary.load_error(), "");
}

TEST(BadVocabulary, WithoutTokens) {
    TinyVocabulary vocabulary;
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.tokens: expected a list of texts, found no such key");
    vocabulary.more["tokenizer.ggml.tokens"] = files::MetadataArray(std::vector<std::string_view>());
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.tokens: expected at least one token, found none");
    vocabulary.more["tokenizer.ggml.tokens"] = files::MetadataArray(std::vector<std::int64_t>{1});
    EXPECT_NE(vocabulary.load_error(), "");
}

TEST(BadVocabulary, WithATextTwice) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    vocabulary.add("a", 4);
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.tokens: expected every text once, found \"a\" as 97 and 256");
}

TEST(BadVocabulary, WithEmptyTextsWhichAreNeverMadeFromText) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
    vocabulary.add("", 1);
    vocabulary.add("", 3);
    vocabulary.add("", 4);
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->encode("ab", SpecialTokens::kParse), (std::vector<TokenId>{256}));
    EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{257, 258, 259, 256}, SpecialTokens::kParse), "ab");
    EXPECT_EQ(tokenizer->find(""), std::nullopt);
    vocabulary.model = "t5";
    vocabulary.scores.assign(vocabulary.tokens.size(), -1);
    EXPECT_FALSE(vocabulary.load()->encode("ab", SpecialTokens::kParse).empty());
}

TEST(BadVocabulary, WithTypesOrScoresOfAnotherNumber) {
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"a"});
    vocabulary.scores.pop_back();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.scores: expected one for each of 260 tokens, found 259");
    vocabulary.scores.resize(262);
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.scores: expected one for each of 260 tokens, found 262");
    vocabulary.scores.clear();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.scores: expected a number for each token, found no such key");
    vocabulary.types.pop_back();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.token_type: expected one for each of 260 tokens, found 259");
}

TEST(BadVocabulary, WithATypeOrAScoreThatIsNone) {
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"a"});
    vocabulary.scores[5] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.scores: token 5: expected a number, found NaN");
    for (const std::int64_t type : {std::int64_t{7}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
        vocabulary.types[2] = type;
        EXPECT_EQ(vocabulary.load_error(), fmt::format("tokenizer.ggml.token_type: token 2: expected 0 to 6, found {}", type));
    }
}

TEST(BadVocabulary, WithAByteTokenThatIsNoByte) {
    for (const std::string text : {"<0x-1>", "<0x100>", "<0xG0>", "<0x1>", "<0x", "0x41", "<0x 1>"}) {
        TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"a"});
        vocabulary.tokens[10] = text;
        EXPECT_EQ(vocabulary.load_error(),
                  fmt::format("tokenizer.ggml.tokens: token 10: expected a byte, <0x00> to <0xFF>, found \"{}\"", text));
    }
}

TEST(BadVocabulary, WithIdsBeyondTheTokensWhichAreIgnoredAndNamedInOneWarning) {
    for (const std::string key : {"bos", "eos", "unknown", "eot", "eom", "padding", "seperator", "mask", "fim_pre"}) {
        const std::vector<std::pair<files::MetadataValue, std::string>> ids = {
            {std::uint64_t{256}, "256"},
            {std::uint64_t{4294967295}, "4294967295"},
            {std::numeric_limits<std::uint64_t>::max(), "18446744073709551615"},
            {std::int64_t{-1}, "-1"},
        };
        for (const auto& [id, text] : ids) {
            TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
            vocabulary.more["tokenizer.ggml." + key + "_token_id"] = id;
            const auto tokenizer = vocabulary.load();
            ASSERT_EQ(tokenizer->warnings().size(), 1U) << key;
            const std::string start =
                "ignored, because the vocabulary has tokens 0 to 255 only: tokenizer.ggml." + key + "_token_id " + text;
            EXPECT_TRUE(tokenizer->warnings()[0].starts_with(start)) << tokenizer->warnings()[0];
            const bool is_named = key == "bos" || key == "eos" || key == "eot" || key == "eom" || key == "unknown";
            EXPECT_EQ(tokenizer->warnings()[0].ends_with(" is lost)"), is_named) << tokenizer->warnings()[0];
            EXPECT_EQ(tokenizer->special().bos, std::nullopt);
            EXPECT_EQ(tokenizer->special().padding, std::nullopt);
            EXPECT_TRUE(tokenizer->special().end_of_generation.empty());
        }
    }
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
    EXPECT_TRUE(vocabulary.load()->warnings().empty());
    vocabulary.more["tokenizer.ggml.bos_token_id"] = std::string_view("<s>");
    EXPECT_NE(vocabulary.load_error(), "");
    vocabulary.more["tokenizer.ggml.bos_token_id"] = std::uint64_t{4294967295};
    vocabulary.more["tokenizer.ggml.add_bos_token"] = true;
    EXPECT_FALSE(vocabulary.load()->special().add_bos);
}

TEST(BadVocabulary, ThatWantsABosItHasNot) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
    vocabulary.more["tokenizer.ggml.add_bos_token"] = true;
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.add_bos_token is true, but there is no tokenizer.ggml.bos_token_id");
    vocabulary.more.clear();
    vocabulary.more["tokenizer.ggml.add_eos_token"] = true;
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.add_eos_token is true, but there is no tokenizer.ggml.eos_token_id");
}

TEST(BadVocabulary, WithoutMerges) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    vocabulary.more.clear();
    EXPECT_EQ(vocabulary.load_error(), "tokenizer.ggml.merges: expected a list of texts, found no such key");
}

TEST(BadVocabulary, WithMergesThatNameNoTokenWhichAreSkipped) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b", "ab c"});
    vocabulary.merges.insert(vocabulary.merges.begin(), {"xy z", "x yz", "x y"});
    const auto tokenizer = vocabulary.load();
    ASSERT_EQ(tokenizer->warnings().size(), 1U);
    EXPECT_EQ(tokenizer->warnings()[0],
              "tokenizer.ggml.merges: skipped 3 of 5 entries, because they name tokens that the vocabulary does not have; entry 0 names "
              "\"xy\"");
    EXPECT_EQ(tokenizer->encode("abcxy", SpecialTokens::kParse), (std::vector<TokenId>{257, 'x', 'y'}));
}

TEST(BadVocabulary, WithMergesThatAreNoPair) {
    const auto error_of = [](const std::string& merge) {
        TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
        vocabulary.merges.push_back(merge);
        return vocabulary.load_error();
    };
    for (const std::string merge : {"", " ", "ab", "a ", " b"}) {
        EXPECT_EQ(error_of(merge),
                  fmt::format("tokenizer.ggml.merges: entry 1: expected two tokens separated by a space, found \"{}\"", merge));
    }
    EXPECT_EQ(error_of("a b"), "");  // twice the same: the first counts
}

TEST(BadVocabulary, WithoutAPreTokenizerThatIsKnown) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
    vocabulary.pre = "no-such-one";
    ASSERT_EQ(vocabulary.load()->warnings().size(), 1U);
    EXPECT_TRUE(
        vocabulary.load()->warnings()[0].starts_with("tokenizer.ggml.pre: \"no-such-one\" is unknown; using the default pre-tokenizer"));
    vocabulary.pre = "";
    ASSERT_EQ(vocabulary.load()->warnings().size(), 1U);
    EXPECT_TRUE(vocabulary.load()->warnings()[0].starts_with("tokenizer.ggml.pre: the file names no pre-tokenizer; "));
}

}  // namespace
}  // namespace rafter::text
