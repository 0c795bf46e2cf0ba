// Where one sequence's keys and values live: for each group of layers that share a cache, the blocks of its positions 0, block_size,
// 2 * block_size, ... Plain data, filled in by BlockCache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"

namespace rafter::kv {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = ~NodeId{0};
inline constexpr BlockId kNoBlock = ~BlockId{0};

class SequenceBlocks {
  public:
    // [n_groups][blocks_for(positions)]. Blocks that a sliding window has left behind are 0 there: they are given back and not read.
    [[nodiscard]] std::span<const std::vector<BlockId>> tables() const { return tables_; }
    [[nodiscard]] std::uint32_t n_blocks() const { return tables_.empty() ? 0 : static_cast<std::uint32_t>(tables_[0].size()); }
    // Of group: the first block that is still held.
    [[nodiscard]] std::uint32_t first_held(std::size_t group) const { return first_held_[group]; }
    // Full blocks that others can find.
    [[nodiscard]] std::uint32_t n_published() const { return static_cast<std::uint32_t>(nodes_.size()); }

  private:
    friend class BlockCache;
    std::vector<std::vector<BlockId>> tables_;
    std::vector<std::uint32_t> first_held_;  // [n_groups]
    std::vector<NodeId> nodes_;              // of the published blocks, from the first on
};

}  // namespace rafter::kv
