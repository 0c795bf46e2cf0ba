#include "grammar/grammar_compiler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/byte_tokenizer.h"

namespace rafter::grammar {
namespace {

const Grammar kDigits{GrammarKind::kRegex, "[0-9]+"};

TEST(GrammarCompiler, EqualGrammarsShareAMask) {
    const testing::ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    const auto first = compiler.compile_now(kDigits);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(*compiler.compile_now(kDigits), *first);
    EXPECT_NE(*compiler.compile_now({GrammarKind::kRegex, "[0-8]+"}), *first);
}

TEST(GrammarCompiler, WhoeverWaitsForAGrammarThatTakesTooLongIsWoken) {
    const testing::ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer, {.max_seconds = 0.0});
    const auto late = compiler.compile_now(kDigits);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().message, "grammar: expected one that compiles within 0 seconds");
}

TEST(GrammarCompiler, TheLeastRecentlyUsedIsForgotten) {
    const testing::ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer, {.max_kept = 1});
    const auto first = *compiler.compile_now(kDigits);
    ASSERT_TRUE(compiler.compile_now({GrammarKind::kRegex, "a"}));
    EXPECT_NE(*compiler.compile_now(kDigits), first);
}

TEST(GrammarCompiler, EndsWhileGrammarsWait) {
    const testing::ByteTokenizer tokenizer;
    std::vector<std::shared_ptr<engine::PendingMask>> masks;
    {
        GrammarCompiler compiler(tokenizer);
        for (int i = 0; i < 20; ++i) masks.push_back(compiler.compile({GrammarKind::kRegex, std::string(1 + i, 'a')}).value());
    }
    for (const auto& mask : masks) EXPECT_TRUE(mask->decided());
}

TEST(GrammarCompiler, ControlTokensComeWhereATagNamesThemAlone) {
    const testing::ByteTokenizer tokenizer({}, {"<|mark|>", "<|other|>"});
    const auto mark = *tokenizer.find("<|mark|>"), other = *tokenizer.find("<|other|>");
    GrammarCompiler compiler(tokenizer);
    const auto allowed_at_first = [&](const Grammar& grammar) {
        const auto mask = compiler.compile_now(grammar);
        EXPECT_TRUE(mask) << mask.error().message;
        std::vector<std::uint32_t> words(engine::n_mask_words(tokenizer.n_tokens()));
        (*mask)->make_matcher()->fill(words);
        std::vector<text::TokenId> allowed;
        for (std::size_t token = 0; token < tokenizer.n_tokens(); ++token) {
            if ((words[token / 32] >> token % 32 & 1) != 0) allowed.push_back(static_cast<text::TokenId>(token));
        }
        return allowed;
    };
    const auto tag = [](const std::string& format) {
        return Grammar{GrammarKind::kStructuralTag, R"({"type": "structural_tag", "format": )" + format + "}"};
    };
    EXPECT_EQ(allowed_at_first(tag(R"({"type": "token", "token": )" + std::to_string(mark) + "}")), std::vector{mark});
    for (
        const Grammar& free :
        {tag(R"({"type": "any_text"})"), tag(R"({"type": "any_text", "excludes": ["</x>"]})"),
         tag(R"({"type": "triggered_tags", "triggers": ["<f"], "tags": [{"begin": "<f>", "content": {"type": "any_text"}, "end": "</f>"}]})"),
         Grammar{GrammarKind::kRegex, "[^a]*"}, Grammar{GrammarKind::kEbnf, "root ::= [^a]*"}}) {
        const auto allowed = allowed_at_first(free);
        EXPECT_GT(allowed.size(), 100U) << free.text;
        for (const auto token : {mark, other}) EXPECT_EQ(std::ranges::count(allowed, token), 0) << free.text;
    }
}

TEST(GrammarCompiler, ATextWithoutAnotherIsJustThat) {
    const testing::ByteTokenizer tokenizer;
    GrammarCompiler compiler(tokenizer);
    const auto mask =
        compiler.compile_now({GrammarKind::kStructuralTag, R"({"type": "structural_tag", "format": {"type": "sequence", "elements": [
        {"type": "any_text", "excludes": ["</a>"]}, {"type": "const_string", "value": "</a>"}]}})"});
    ASSERT_TRUE(mask) << mask.error().message;
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (std::size_t n = random() % 14; n > 0; --n) text += std::string_view("</a>x<</")[random() % 8];
        const auto matcher = (*mask)->make_matcher();
        std::size_t n_taken = 0;
        while (n_taken < text.size() && matcher->accept(static_cast<unsigned char>(text[n_taken]))) ++n_taken;
        const std::size_t at = text.find("</a>");
        EXPECT_EQ(n_taken, at == std::string::npos ? text.size() : at + 4) << text;
        EXPECT_EQ(matcher->may_end(), at != std::string::npos && n_taken == at + 4) << text;
    }
}

}  // namespace
}  // namespace rafter::grammar
