#include "grammar/grammar_compiler.h"

#include <gtest/gtest.h>

#include <memory>
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

}  // namespace
}  // namespace rafter::grammar
