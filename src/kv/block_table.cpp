// Growing first asks every pool and then takes, so that no group is left longer than another.
#include "kv/block_table.h"

#include "base/check.h"

namespace rafter::kv {

bool BlockTable::grow_to(BlockPool& pool, std::uint32_t n) {
    if (n <= n_blocks()) return true;
    if (n - n_blocks() > pool.n_free()) return false;
    while (n_blocks() < n) {
        const auto block = pool.allocate();
        RAFTER_CHECK(block.has_value(), "the pool said it had {} free blocks", n - n_blocks());
        blocks_.push_back(*block);
    }
    return true;
}

void BlockTable::shrink_to(BlockPool& pool, std::uint32_t n) {
    while (n_blocks() > n) {
        pool.release(blocks_.back());
        blocks_.pop_back();
    }
}

bool SequenceBlocks::grow(std::span<BlockPool> pools, std::uint32_t n_positions) {
    RAFTER_CHECK(pools.size() == tables_.size(), "{} pools for {} cache groups", pools.size(), tables_.size());
    const std::uint32_t n = blocks_for(n_positions);
    for (std::size_t group = 0; group < tables_.size(); ++group) {
        const std::uint32_t have = tables_[group].n_blocks();
        if (n > have && n - have > pools[group].n_free()) return false;
    }
    for (std::size_t group = 0; group < tables_.size(); ++group) {
        const bool grown = tables_[group].grow_to(pools[group], n);
        RAFTER_CHECK(grown, "cache group {} lost free blocks meanwhile", group);
    }
    return true;
}

void SequenceBlocks::truncate(std::span<BlockPool> pools, std::uint32_t n_positions) {
    RAFTER_CHECK(pools.size() == tables_.size(), "{} pools for {} cache groups", pools.size(), tables_.size());
    for (std::size_t group = 0; group < tables_.size(); ++group) tables_[group].shrink_to(pools[group], blocks_for(n_positions));
}

}  // namespace rafter::kv
