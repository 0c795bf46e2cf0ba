// The block pool against a model too simple to be wrong: a map of counts.
#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace rafter::kv {
namespace {

TEST(BlockPool, HandsOutEveryBlockOnceAndThenNone) {
    BlockPool pool(5);
    std::set<BlockId> seen;
    for (int i = 0; i < 5; ++i) seen.insert(pool.allocate().value());
    EXPECT_EQ(seen, (std::set<BlockId>{0, 1, 2, 3, 4}));
    EXPECT_FALSE(pool.allocate().has_value());
    EXPECT_EQ(pool.n_free(), 0U);
}

TEST(BlockPool, OfNoBlocksIsAlwaysFull) {
    BlockPool pool(0);
    EXPECT_FALSE(pool.allocate().has_value());
}

TEST(BlockPool, SharedBlockIsFreedWithItsLastUser) {
    BlockPool pool(1);
    const BlockId block = pool.allocate().value();
    pool.retain(block);
    pool.release(block);
    EXPECT_FALSE(pool.allocate().has_value());
    pool.release(block);
    EXPECT_EQ(pool.allocate(), block);
}

TEST(BlockPoolDeathTest, ReleaseOfAFreeBlockIsABug) {
    BlockPool pool(2);
    EXPECT_DEATH(pool.release(0), "block 0, which is free");
    EXPECT_DEATH(pool.retain(1), "block 1, which is free");
    EXPECT_DEATH(pool.release(2), "block 2 of 2");
}

TEST(BlockPool, AgreesWithAMapOfCountsOverRandomOperations) {
    constexpr std::uint32_t kBlocks = 37;
    BlockPool pool(kBlocks);
    std::map<BlockId, std::uint32_t> users;  // of blocks in use
    std::mt19937 random(1);
    for (int i = 0; i < 100'000; ++i) {
        const auto some = [&] { return std::next(users.begin(), random() % users.size()); };
        switch (random() % 3) {
            case 0: {
                const auto block = pool.allocate();
                ASSERT_EQ(block.has_value(), users.size() < kBlocks);
                if (block) {
                    ASSERT_LT(*block, kBlocks);
                    ASSERT_TRUE(users.emplace(*block, 1).second) << "block " << *block << " is in two places";
                }
                break;
            }
            case 1:
                if (users.empty()) break;
                {
                    const auto it = some();
                    pool.retain(it->first);
                    ++it->second;
                }
                break;
            default:
                if (users.empty()) break;
                const auto it = some();
                pool.release(it->first);
                if (--it->second == 0) users.erase(it);
        }
        ASSERT_EQ(pool.n_used(), users.size());
        ASSERT_EQ(pool.n_free() + pool.n_used(), kBlocks);
        const BlockId probe = random() % kBlocks;
        const auto it = users.find(probe);
        ASSERT_EQ(pool.n_users(probe), it == users.end() ? 0 : it->second);
    }
}

}  // namespace
}  // namespace rafter::kv
