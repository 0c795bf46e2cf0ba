#include "base/quote.h"

#include <gtest/gtest.h>

namespace rafter {
namespace {

TEST(Quote, PlainNamesAreOnlyQuoted) { EXPECT_EQ(quote("blk.0.attn_q.weight"), "\"blk.0.attn_q.weight\""); }

TEST(Quote, NothingReachesTheTerminalThatItWouldObey) {
    EXPECT_EQ(quote("\x1b[31m\r\n"), R"("\x1b[31m\x0d\x0a")");
    EXPECT_EQ(quote("a\"b\\c"), R"("a\"b\\c")");
    EXPECT_EQ(quote("\xc3\xa9\x7f"), R"("\xc3\xa9\x7f")");
    EXPECT_EQ(quote(std::string_view("\0", 1)), R"("\x00")");
}

TEST(Quote, TheMiddleOfALongNameIsLeftOut) {
    const std::string shown = quote("begin" + std::string(1 << 20, 'x') + "end");
    EXPECT_LT(shown.size(), 100u);
    EXPECT_TRUE(shown.starts_with("\"beginxxx")) << shown;
    EXPECT_NE(shown.find("x...x"), std::string::npos) << shown;
    EXPECT_TRUE(shown.ends_with("xend\"")) << shown;
}

}  // namespace
}  // namespace rafter
