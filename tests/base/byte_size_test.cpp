// Sizes as people write them.
#include "base/byte_size.h"

#include <gtest/gtest.h>

namespace rafter {
namespace {

TEST(ByteSize, KnowsUnitsOfBothKinds) {
    EXPECT_EQ(byte_size("1000"), 1000.0);
    EXPECT_EQ(byte_size("1.5kB"), 1500.0);
    EXPECT_EQ(byte_size("2 GB"), 2e9);
    EXPECT_EQ(byte_size("2gib"), 2.0 * 1024 * 1024 * 1024);
    EXPECT_EQ(byte_size("1M"), 1e6);
    EXPECT_EQ(byte_size("1Ti"), 1024.0 * 1024 * 1024 * 1024);
    EXPECT_EQ(byte_size("0"), 0.0);
}

TEST(ByteSize, IsNothingWhereTheTextIsNoSize) {
    for (const char* text : {"", "GB", "-1", "1 apple", "1 G B", "1kib2", "nan", "inf", "1e999", "0x10", "1xb"}) {
        EXPECT_FALSE(byte_size(text)) << text;
    }
}

}  // namespace
}  // namespace rafter
