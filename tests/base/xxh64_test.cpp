#include "base/xxh64.h"

#include <gtest/gtest.h>

#include <string>

namespace rafter {
namespace {

// From the reference implementation and the documentation of its Python binding.
TEST(Xxh64, GivesThePublishedValues) {
    EXPECT_EQ(xxh64(""), 0xEF46DB3751D8E999U);
    EXPECT_EQ(xxh64("a"), 0xD24EC4F1A98C6E5BU);
    EXPECT_EQ(xxh64("abc"), 0x44BC2CF5AD770999U);
    EXPECT_EQ(xxh64("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1U);
    EXPECT_EQ(xxh64("xxhash", 20141025), 0xB559B98D844E0635U);
}

TEST(Xxh64, EveryBitCountsAtEveryLength) {
    for (std::size_t n = 1; n < 100; ++n) {
        std::string text(n, 'x');
        const std::uint64_t hash = xxh64(text);
        EXPECT_NE(hash, xxh64(text, 1));
        EXPECT_NE(hash, xxh64(text + '\0'));
        for (std::size_t bit = 0; bit < 8 * n; ++bit) {
            text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
            EXPECT_NE(hash, xxh64(text)) << "bit " << bit << " of " << n << " bytes";
            text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
        }
    }
}

}  // namespace
}  // namespace rafter
