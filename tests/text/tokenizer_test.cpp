// Tokenizer as its callers see it: added tokens, special ids, decoding.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/support/tiny_vocabulary.h"

namespace rafter::text {
namespace {

using Ids = std::vector<TokenId>;
constexpr SpecialTokens kAsText = SpecialTokens::kAsText;
constexpr SpecialTokens kParse = SpecialTokens::kParse;

TEST(Tokenizer, MergesByRank) {
    // 256 ab, 257 bc, 258 abc: "b c" comes after "a b".
    const auto tokenizer = TinyVocabulary::of_bytes({"a b", "b c", "ab c"}).load();
    EXPECT_EQ(tokenizer->encode("abc", kAsText), (Ids{258}));
    EXPECT_EQ(tokenizer->encode("bcab", kAsText), (Ids{257, 256}));
    EXPECT_EQ(tokenizer->encode("", kAsText), Ids());
}

TEST(Tokenizer, TakesAWholeWordWhereTheFamilyIgnoresMerges) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b", "c d"});
    const TokenId whole = vocabulary.add("abcd", 1);
    vocabulary.pre = "smaug-bpe";
    EXPECT_EQ(vocabulary.load()->encode("abcd", kAsText), (Ids{256, 257}));
    vocabulary.pre = "llama-bpe";
    EXPECT_EQ(vocabulary.load()->encode("abcd", kAsText), (Ids{whole}));
    vocabulary.types.back() = 3;  // never a control token
    EXPECT_EQ(vocabulary.load()->encode("abcd", kAsText), (Ids{256, 257}));
}

TEST(Tokenizer, FindsControlTokensOnlyWhereAskedAndUserDefinedOnesAlways) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    const TokenId control = vocabulary.add("<|c|>", 3);
    const TokenId user = vocabulary.add("<u>", 4);
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->encode("<|c|><u>", kParse), (Ids{control, user}));
    const Ids as_text = tokenizer->encode("<|c|><u>", kAsText);
    EXPECT_EQ(as_text.size(), 6U);
    EXPECT_EQ(as_text.back(), user);
    EXPECT_EQ(tokenizer->decode(Ids{control, user}, kAsText), "<u>");
    EXPECT_EQ(tokenizer->decode(Ids{control, user}, kParse), "<|c|><u>");
    EXPECT_EQ(tokenizer->find("<u>"), user);
    EXPECT_EQ(tokenizer->find("<v>"), std::nullopt);
}

TEST(Tokenizer, TakesTheLongestAddedTokenAtEachPlace) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    const TokenId two = vocabulary.add("--", 4);
    const TokenId five = vocabulary.add("-----", 4);
    const TokenId control = vocabulary.add("-----!", 3);
    const auto tokenizer = vocabulary.load();
    const TokenId dash = tokenizer->find("-").value();
    EXPECT_EQ(tokenizer->encode(std::string(10, '-'), kAsText), (Ids{five, five}));
    EXPECT_EQ(tokenizer->encode(std::string(9, '-'), kAsText), (Ids{five, two, two}));
    EXPECT_EQ(tokenizer->encode(std::string(8, '-'), kAsText), (Ids{five, two, dash}));
    EXPECT_EQ(tokenizer->encode("-----!", kAsText), (Ids{five, tokenizer->find("!").value()}));
    EXPECT_EQ(tokenizer->encode("-----!", kParse), (Ids{control}));
}

TEST(Tokenizer, Phi3sTokensSwallowTheSpaceBehindThem) {
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"\xE2\x96\x81", "a"});
    const TokenId end = vocabulary.add("<|end|>", 3);
    const TokenId text_end = vocabulary.add("<|endoftext|>", 3);
    vocabulary.scores.resize(vocabulary.tokens.size());
    vocabulary.more["general.name"] = std::string_view("Phi-3 Mini");
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->encode("<|end|> \n a", kParse), (Ids{end, 259, 260}));
    EXPECT_EQ(tokenizer->encode("<|endoftext|> a", kParse), (Ids{text_end, 259, 259, 260}));
    vocabulary.more["general.name"] = std::string_view("other");
    EXPECT_EQ(vocabulary.load()->encode("<|end|> a", kParse), (Ids{end, 259, 259, 260}));
}

TEST(Tokenizer, PutsASpaceBeforeTextAndBehindAddedTokensAndTakesItAwayAgain) {
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"\xE2\x96\x81", "a",
                                                           "\xE2\x96\x81"
                                                           "a"});
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->encode("a", kAsText), (Ids{261}));
    EXPECT_EQ(tokenizer->encode("<s>a</s> a", kParse), (Ids{1, 261, 2, 259, 261}));
    for (const std::string text : {"a", " a", "", " ", "a a", "<s>a", "<s> a</s>a"}) {
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, kParse), kParse), text);
    }
    EXPECT_EQ(tokenizer->decode(Ids{1, 259, 260}, kAsText), "a");
    EXPECT_EQ(tokenizer->piece(259, kAsText), " ");
    vocabulary.more["tokenizer.ggml.add_space_prefix"] = false;
    EXPECT_EQ(vocabulary.load()->encode("a", kAsText), (Ids{260}));
    EXPECT_EQ(vocabulary.load()->decode(Ids{259, 260}, kAsText), " a");
}

TEST(Tokenizer, WritesWhatNoTokenStandsForAsBytes) {
    const auto tokenizer = TinyVocabulary::of_pieces({"a"}).load();
    EXPECT_EQ(tokenizer->encode("a\xC3\xA4\xFF", kAsText), (Ids{3 + 0xE2, 3 + 0x96, 3 + 0x81, 259, 3 + 0xC3, 3 + 0xA4, 3 + 0xFF}));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xC3\xA4\xFF", kAsText), kAsText),
              "\xE2\x96\x81"
              "a\xC3\xA4\xFF");
    TinyVocabulary without_bytes;
    without_bytes.model = "llama";
    without_bytes.tokens = {"<unk>", "<s>", "</s>", "a"};
    without_bytes.types = {2, 3, 3, 1};
    without_bytes.scores = {0, 0, 0, -1};
    without_bytes.more["tokenizer.ggml.add_space_prefix"] = false;
    EXPECT_EQ(without_bytes.load()->encode("a\xC3\xA4"
                                           "a",
                                           kAsText),
              (Ids{3, 0, 3}));
}

TEST(Tokenizer, ControlTokensNeverComeFromMergingText) {
    // "</" + "s>" would be the text of </s>.
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"<", "/", "s", ">", "</", "s>", "\xE2\x96\x81"});
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->encode("</s>", kAsText), (Ids{265, 263, 264}));
    EXPECT_EQ(tokenizer->encode("</s>", kParse), (Ids{2}));
}

TEST(Tokenizer, NorFromBytesOrMergesOfBytes) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b", "c d"});
    vocabulary.types[256] = 3;
    vocabulary.types['e'] = 3;
    EXPECT_EQ(vocabulary.load()->encode("abcd", kAsText), (Ids{'a', 'b', 257}));
    EXPECT_EQ(vocabulary.load()->encode("abe", kParse), (Ids{256, 'e'}));
    EXPECT_EQ(vocabulary.load()->encode("aeb", kAsText), (Ids{'a', 'b'}));
}

TEST(Tokenizer, MergesByRankWhereAFileHasNoScores) {
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"a", "b", "c", "ab", "bc"});
    vocabulary.more["tokenizer.ggml.add_space_prefix"] = false;
    EXPECT_EQ(vocabulary.load()->encode("abc", kAsText), (Ids{262, 261}));
    vocabulary.scores.clear();
    vocabulary.merges = {"b c", "a b"};
    EXPECT_EQ(vocabulary.load()->encode("abc", kAsText), (Ids{259, 263}));
}

TEST(Tokenizer, MergesByRankOverMarkedSpaces) {
    TinyVocabulary vocabulary = TinyVocabulary::of_pieces({"\xE2\x96\x81", "a", "b",
                                                           "\xE2\x96\x81"
                                                           "a",
                                                           "ab", "\n", "\n\n\n"});
    vocabulary.model = "gemma4";
    vocabulary.scores.clear();
    vocabulary.merges = {"\xE2\x96\x81 a", "a b"};
    vocabulary.more["tokenizer.ggml.bos_token_id"] = std::uint64_t{1};
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->encode("ab ab", kAsText), (Ids{263, 262, 261}));
    EXPECT_EQ(tokenizer->encode("a\n\n\nb\n\n", kAsText), (Ids{260, 265, 261, 264, 264}));
    EXPECT_EQ(tokenizer->encode("\xC3\xA4", kAsText), (Ids{3 + 0xC3, 3 + 0xA4}));
    EXPECT_EQ(tokenizer->decode(Ids{263, 262}, kAsText), "ab a");
    EXPECT_TRUE(tokenizer->special().add_bos);
    EXPECT_EQ(tokenizer->description(), "BPE (gemma4), 266 tokens");
}

TEST(Tokenizer, KnowsWhatEndsAnAnswerByIdAndByText) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    const TokenId bos = vocabulary.add("<bos>", 3);
    const TokenId eos = vocabulary.add("my end", 3);
    const TokenId turn = vocabulary.add("<|im_end|>", 1);  // a converter's mistake
    const TokenId eot = vocabulary.add("over", 1);
    vocabulary.add("</s>", 1);  // an ordinary token here: mark-up
    vocabulary.more["tokenizer.ggml.bos_token_id"] = static_cast<std::uint64_t>(bos);
    vocabulary.more["tokenizer.ggml.eos_token_id"] = static_cast<std::uint64_t>(eos);
    vocabulary.more["tokenizer.ggml.eot_token_id"] = static_cast<std::uint64_t>(eot);
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->special().bos, bos);
    EXPECT_EQ(tokenizer->special().eos, eos);
    EXPECT_EQ(tokenizer->special().end_of_generation, (Ids{eos, turn, eot}));
    EXPECT_FALSE(tokenizer->special().add_bos);
    EXPECT_EQ(tokenizer->encode("<|im_end|>", kAsText).size(), 10U);
    EXPECT_EQ(tokenizer->encode("<|im_end|>", kParse), (Ids{turn}));
}

TEST(Tokenizer, HarmonysEndOfAMessageIsNotTheEndOfTheAnswer) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    const TokenId end = vocabulary.add("<|end|>", 3);
    EXPECT_EQ(vocabulary.load()->special().end_of_generation, (Ids{end}));
    const TokenId ret = vocabulary.add("<|return|>", 3);
    const TokenId call = vocabulary.add("<|call|>", 3);
    EXPECT_EQ(vocabulary.load()->special().end_of_generation, (Ids{ret, call}));
}

TEST(Tokenizer, BosIsAddedWhereTheFamilyOrTheFileSaysSo) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    vocabulary.pre = "llama-bpe";
    EXPECT_FALSE(vocabulary.load()->special().add_bos);  // there is none
    vocabulary.more["tokenizer.ggml.bos_token_id"] = std::uint64_t{7};
    EXPECT_TRUE(vocabulary.load()->special().add_bos);
    vocabulary.more["tokenizer.ggml.add_bos_token"] = false;
    EXPECT_FALSE(vocabulary.load()->special().add_bos);
    vocabulary.pre = "qwen2";
    vocabulary.more["tokenizer.ggml.add_bos_token"] = true;
    EXPECT_TRUE(vocabulary.load()->special().add_bos);
    EXPECT_TRUE(TinyVocabulary::of_pieces({"a"}).load()->special().add_bos);
}

TEST(Tokenizer, AnUnknownPreTokenizerFallsBackToTheDefaultAndSaysSo) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"1 2"});
    EXPECT_EQ(vocabulary.load()->description(), "BPE (gpt-2), 257 tokens");
    vocabulary.pre = "no-such\n";
    EXPECT_EQ(vocabulary.load()->description(), "BPE (pre-tokenizer \"no-such\\x0a\" is unknown: default), 257 tokens");
    EXPECT_EQ(vocabulary.load()->encode("12", kAsText), (Ids{256}));
    vocabulary.pre = "";
    EXPECT_EQ(vocabulary.load()->description(), "BPE (no pre-tokenizer named: default), 257 tokens");
}

TEST(Tokenizer, AnyBytesComeBackFromByteLevelTokens) {
    std::mt19937 random(2);
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b", "\xC4\xA0 a", "\xC4\xA0 \xC4\xA0", "\xC3\x83 \xC2\xA4"});
    const auto tokenizer = vocabulary.load();
    for (int round = 0; round < 500; ++round) {
        std::string bytes;
        for (std::size_t i = random() % 60; i > 0; --i) bytes += random() % 2 == 0 ? "ab \n"[random() % 4] : static_cast<char>(random());
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes, kAsText), kAsText), bytes);
    }
}

TEST(Tokenizer, ALongTextIsTokenisedAsItsLinesAre) {
    // Long enough for the cache of words, and more different words than it holds places for those that collide.
    std::mt19937 random(3);
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({"a b", "\xC4\xA0 a", "b a", "ab ab"});
    vocabulary.pre = "qwen2";
    const auto tokenizer = vocabulary.load();
    std::string text;
    Ids expected;
    for (int line = 0; line < 3000; ++line) {
        std::string words;
        for (std::size_t i = 1 + random() % 20; i > 0; --i)
            words += random() % 4 == 0 ? " " : random() % 8 == 0 ? "c" : random() % 2 == 0 ? "a" : "b";
        words += ";\n";
        const Ids ids = tokenizer->encode(words, kAsText);
        expected.insert(expected.end(), ids.begin(), ids.end());
        text += words;
    }
    EXPECT_EQ(tokenizer->encode(text, kAsText), expected);
}

TEST(Tokenizer, AByteWithoutATokenIsLeftOut) {
    TinyVocabulary vocabulary;
    vocabulary.tokens = {"a", "b", "ab"};
    vocabulary.merges = {"a b"};
    EXPECT_EQ(vocabulary.load()->encode("abxa", kAsText), (Ids{2, 0}));
}

// tests/text/hf_oracle_test.py compares more with Hugging Face's library.
TEST(Tokenizer, NormalizesWhereTheFamilyDoes) {
    TinyVocabulary vocabulary = TinyVocabulary::of_bytes({});
    const std::string decomposed = "cafe\u0301 \u1100\u1161\u11A8 e\u0327\u0301";
    const std::string composed = "caf\u00E9 \uAC01 \u0229\u0301";
    for (const std::string pre : {"qwen2", "qwen35", "deepseek-r1-qwen", "command-r"}) {
        vocabulary.pre = pre;
        const auto tokenizer = vocabulary.load();
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(decomposed, SpecialTokens::kParse), SpecialTokens::kParse), composed) << pre;
        const std::string broken = "e\xCC \u0301\xFF\u0301";  // bytes that are no characters stay, and nothing composes over them
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(broken, SpecialTokens::kParse), SpecialTokens::kParse), broken) << pre;
    }
    vocabulary.pre = "gpt-2";
    const auto tokenizer = vocabulary.load();
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(decomposed, SpecialTokens::kParse), SpecialTokens::kParse), decomposed);
    // Sorting many marks of one character must not take the square of their number.
    vocabulary.pre = "qwen2";
    std::string marks = "e";
    for (int i = 0; i < 200'000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0323";
    EXPECT_EQ(vocabulary.load()->encode(marks, SpecialTokens::kParse).size(), 3 + 2 * (200'000 - 1));
}

}  // namespace
}  // namespace rafter::text
