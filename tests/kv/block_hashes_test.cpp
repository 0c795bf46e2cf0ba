// The hashes of a text's blocks against their definition, computed anew each time.
#include "kv/block_hashes.h"

#include <gtest/gtest.h>

#include <random>

namespace rafter::kv {
namespace {

constexpr std::uint32_t kHashedBlock = 4;

std::vector<std::uint64_t> by_definition(const std::vector<Token>& tokens, std::string_view salt) {
    std::vector<std::uint64_t> hashes;
    std::uint64_t hash = salt_hash(salt);
    for (std::size_t at = 0; at + kHashedBlock <= tokens.size(); at += kHashedBlock) {
        hash = block_hash(hash, std::span(tokens).subspan(at, kHashedBlock));
        hashes.push_back(hash);
    }
    return hashes;
}

TEST(BlockHashes, GrowWithTheTextToWhatTheWholeTextHas) {
    std::mt19937 random(1);
    for (int round = 0; round < 100; ++round) {
        const std::string salt = round % 2 ? "tenant" : "";
        BlockHashes hashes;
        std::vector<Token> tokens;
        for (int i = 0; i < 20; ++i) {
            for (std::uint32_t n = random() % 7; n > 0; --n) tokens.push_back(static_cast<Token>(random() % 5));
            const PrefixKey key = hashes.key(tokens, salt, kHashedBlock);
            EXPECT_TRUE(std::ranges::equal(key.hashes, by_definition(tokens, salt)));
            EXPECT_TRUE(std::ranges::equal(key.tokens, tokens));
            EXPECT_EQ(key.salt, salt);
        }
    }
}

TEST(BlockHashes, CoverTheSaltAndEverythingBefore) {
    const std::vector<Token> text{1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<std::uint64_t> hashes = by_definition(text, "");
    EXPECT_NE(hashes, by_definition(text, "tenant"));
    EXPECT_NE(hashes[1], by_definition({0, 2, 3, 4, 5, 6, 7, 8}, "")[1]);
    EXPECT_NE(hashes[1], by_definition({5, 6, 7, 8}, "")[0]);
    EXPECT_EQ(hashes[0], by_definition({1, 2, 3, 4, 0, 0, 0, 0}, "")[0]);
}

TEST(BlockHashes, AreComputedOnce) {
    std::vector<Token> tokens(2 * kHashedBlock, 1);
    BlockHashes hashes;
    const std::vector<std::uint64_t> before = by_definition(tokens, "");
    EXPECT_EQ(hashes.key(tokens, "", kHashedBlock).hashes.size(), 2U);
    tokens[0] = 9;  // against the rule, to see that nobody looks
    tokens.resize(3 * kHashedBlock, 1);
    const PrefixKey key = hashes.key(tokens, "", kHashedBlock);
    EXPECT_TRUE(std::ranges::equal(key.hashes.first(2), before));
    EXPECT_EQ(key.hashes[2], block_hash(before[1], std::span(tokens).subspan(2 * kHashedBlock)));
}

}  // namespace
}  // namespace rafter::kv
