// Block pool and block tables against models too simple to be wrong: a map of counts, a list of lists.
#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "kv/block_table.h"

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

TEST(SequenceBlocks, RoundsPositionsUpToBlocks) {
    const SequenceBlocks blocks(1, 16);
    EXPECT_EQ(blocks.blocks_for(0), 0U);
    EXPECT_EQ(blocks.blocks_for(1), 1U);
    EXPECT_EQ(blocks.blocks_for(16), 1U);
    EXPECT_EQ(blocks.blocks_for(17), 2U);
    EXPECT_EQ(blocks.blocks_for(0xFFFFFFFFU), 0x10000000U);
}

TEST(SequenceBlocks, FailedGrowthChangesNoGroup) {
    std::vector<BlockPool> pools{BlockPool(10), BlockPool(3)};
    SequenceBlocks blocks(2, 4);
    ASSERT_TRUE(blocks.grow(pools, 9));
    EXPECT_FALSE(blocks.grow(pools, 13));  // 4 blocks: the second pool has 3
    EXPECT_EQ(pools[0].n_used(), 3U);
    EXPECT_EQ(pools[1].n_used(), 3U);
    EXPECT_TRUE(blocks.grow(pools, 12));
    blocks.free(pools);
    EXPECT_EQ(pools[0].n_used() + pools[1].n_used(), 0U);
}

TEST(SequenceBlocks, GrowthKeepsEarlierBlocksAndTruncationFreesTheLast) {
    std::vector<BlockPool> pools{BlockPool(8)};
    SequenceBlocks blocks(1, 4);
    ASSERT_TRUE(blocks.grow(pools, 8));
    const std::vector<BlockId> before(blocks.tables()[0].blocks().begin(), blocks.tables()[0].blocks().end());
    ASSERT_TRUE(blocks.grow(pools, 20));
    EXPECT_TRUE(std::equal(before.begin(), before.end(), blocks.tables()[0].blocks().begin()));
    blocks.truncate(pools, 5);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), blocks.tables()[0].blocks().begin(), blocks.tables()[0].blocks().end()));
    ASSERT_TRUE(blocks.grow(pools, 3));  // growing to less is no truncation
    EXPECT_EQ(blocks.tables()[0].n_blocks(), 2U);
    blocks.free(pools);
}

TEST(SequenceBlocks, RandomSequencesNeverShareABlockAndLeaveThePoolsEmpty) {
    constexpr std::uint32_t kBlockSize = 4;
    std::vector<BlockPool> pools{BlockPool(50), BlockPool(41)};
    std::vector<SequenceBlocks> sequences(6, SequenceBlocks(2, kBlockSize));
    std::vector<std::uint32_t> lengths(6, 0);  // positions there is room for
    std::mt19937 random(2);
    int refused = 0;
    for (int i = 0; i < 100'000; ++i) {
        const std::size_t s = random() % sequences.size();
        if (random() % 5 < 3) {
            const std::uint32_t wanted = lengths[s] + random() % 20;
            std::uint32_t in_use = 0;
            for (const std::uint32_t n : lengths) in_use += (n + kBlockSize - 1) / kBlockSize;
            const std::uint32_t more = (wanted + kBlockSize - 1) / kBlockSize - (lengths[s] + kBlockSize - 1) / kBlockSize;
            const bool fits = in_use + more <= 41;
            ASSERT_EQ(sequences[s].grow(pools, wanted), fits);
            if (fits) lengths[s] = wanted;
            refused += !fits;
        } else {
            lengths[s] = lengths[s] == 0 ? 0 : random() % lengths[s];
            sequences[s].truncate(pools, lengths[s]);
        }
        if (i % 16 != 0) continue;
        for (std::size_t group = 0; group < 2; ++group) {
            std::set<BlockId> all;
            std::size_t n = 0;
            for (const SequenceBlocks& sequence : sequences) {
                const auto blocks = sequence.tables()[group].blocks();
                all.insert(blocks.begin(), blocks.end());
                n += blocks.size();
            }
            ASSERT_EQ(all.size(), n);
            ASSERT_EQ(n, pools[group].n_used());
        }
    }
    EXPECT_GT(refused, 100);
    for (SequenceBlocks& sequence : sequences) sequence.free(pools);
    EXPECT_EQ(pools[0].n_used() + pools[1].n_used(), 0U);
}

}  // namespace
}  // namespace rafter::kv
