// The hash is a library's: what is tested is that it is the right one, and that the seed and every bit reach it.
#include "base/xxh3.h"

#include <gtest/gtest.h>

#include <string>

namespace rafter {
namespace {

// From the documentation and tests of the library's bindings; files hold such hashes.
TEST(Xxh3, GivesThePublishedValues) {
    EXPECT_EQ(xxh3(""), 0x2D06800538D394C2U);
    EXPECT_EQ(xxh3("a"), 0xE6C632B61E964E1FU);
    EXPECT_EQ(xxh3("abc"), 0x78AF5F94892F3950U);
}

TEST(Xxh3, EveryBitCountsAtEveryLength) {
    for (std::size_t n = 1; n < 300; n += n < 100 ? 1 : 13) {
        std::string text(n, 'x');
        const std::uint64_t hash = xxh3(text);
        EXPECT_NE(hash, xxh3(text, 1));
        EXPECT_NE(hash, xxh3(text + '\0'));
        for (std::size_t bit = 0; bit < 8 * n; ++bit) {
            text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
            EXPECT_NE(hash, xxh3(text)) << "bit " << bit << " of " << n << " bytes";
            text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
        }
    }
}

TEST(Xxh3, OfANumberIsThatOfItsBytes) {
    EXPECT_EQ(xxh3(std::uint64_t{0x6867666564636261}, 5), xxh3("abcdefgh", 5));
    EXPECT_NE(xxh3(std::uint64_t{1}, 5), xxh3(std::uint64_t{1}, 6));
}

}  // namespace
}  // namespace rafter
