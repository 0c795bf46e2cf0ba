// Where one sequence's keys and values live: for each group of layers that share a cache, the blocks of its positions 0, block_size,
// 2 * block_size, ... Growing is all or nothing over all groups, so a failed plan changes nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"

namespace rafter::kv {

// The blocks of one sequence in one cache group. Holds no pool: whoever owns the table passes the pool that its blocks came from.
class BlockTable {
  public:
    [[nodiscard]] std::span<const BlockId> blocks() const { return blocks_; }
    [[nodiscard]] std::uint32_t n_blocks() const { return static_cast<std::uint32_t>(blocks_.size()); }

    // Takes blocks from the pool until there are n; false, and nothing changed, when it has too few.
    [[nodiscard]] bool grow_to(BlockPool& pool, std::uint32_t n);
    // Gives blocks back, the last first, until there are at most n.
    void shrink_to(BlockPool& pool, std::uint32_t n);

  private:
    std::vector<BlockId> blocks_;
};

// One table a cache group, kept at one length in positions. Must be freed before it goes: a destructor would need the pools.
class SequenceBlocks {
  public:
    // pools: [n_cache_groups], the same at every call.
    SequenceBlocks(std::size_t n_groups, std::uint32_t block_size) : tables_(n_groups), block_size_(block_size) {}

    // Room for positions 0 .. n_positions - 1 in every group; false, and nothing changed, when any pool has too few blocks.
    [[nodiscard]] bool grow(std::span<BlockPool> pools, std::uint32_t n_positions);
    // Rollback: keeps room for the first n_positions only.
    void truncate(std::span<BlockPool> pools, std::uint32_t n_positions);
    void free(std::span<BlockPool> pools) { truncate(pools, 0); }

    [[nodiscard]] std::span<const BlockTable> tables() const { return tables_; }
    [[nodiscard]] std::uint32_t block_size() const { return block_size_; }
    [[nodiscard]] std::uint32_t blocks_for(std::uint32_t n_positions) const {
        return n_positions / block_size_ + (n_positions % block_size_ != 0);
    }

  private:
    std::vector<BlockTable> tables_;  // [n_groups]
    std::uint32_t block_size_;
};

}  // namespace rafter::kv
