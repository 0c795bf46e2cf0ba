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

TEST(BadVocabulary, WithIdsBeyondTheTokens) {
    for (const std::string key : {"bos", "eos", "unknown", "eot", "eom"}) {
        for (const std::uint64_t id : {std::uint64_t{256}, std::uint64_t{1} << 31, std::numeric_limits<std::uint64_t>::max()}) {
            TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
            vocabulary.more["tokenizer.ggml." + key + "_token_id"] = id;
            EXPECT_EQ(vocabulary.load_error(), fmt::format("tokenizer.ggml.{}_token_id: expected a token id below 256, found {}", key, id));
        }
    }
    // Files in use have this one, and nothing here pads.
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
    vocabulary.more["tokenizer.ggml.padding_token_id"] = std::uint64_t{0xFFFFFFFF};
    EXPECT_EQ(vocabulary.load()->special().padding, std::nullopt);
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

TEST(BadVocabulary, WithMergesThatNameNoTokenOrAreNoPair) {
    const auto error_of = [](const std::string& merge) {
        TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b"});
        vocabulary.merges.push_back(merge);
        return vocabulary.load_error();
    };
    EXPECT_EQ(error_of("xy z"), "tokenizer.ggml.merges: entry 1: expected tokens, found \"xy\", which is none");
    EXPECT_EQ(error_of("x yz"), "tokenizer.ggml.merges: entry 1: expected tokens, found \"yz\", which is none");
    EXPECT_EQ(error_of("x y"), "tokenizer.ggml.merges: entry 1: expected tokens, found \"xy\", which is none");
    for (const std::string merge : {"", " ", "ab", "a ", " b"}) {
        EXPECT_EQ(error_of(merge),
                  fmt::format("tokenizer.ggml.merges: entry 1: expected two tokens parted by a space, found \"{}\"", merge));
    }
    EXPECT_EQ(error_of("a b"), "");  // twice the same: the first counts
}

}  // namespace
}  // namespace rafter::text
