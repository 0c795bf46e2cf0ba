// A fixed number of KV-cache blocks with reference counts: which are free, and how many sequences use each of the others. Pure bookkeeping;
// the keys and values themselves are the backend's.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/check.h"

namespace rafter::kv {

using BlockId = std::uint32_t;

// All positions of a block, in every layer of its group, are to be copied before a step computes anything. Several: in order.
struct BlockCopy {
    std::uint32_t group = 0;
    BlockId from = 0;
    BlockId to = 0;
};

// Every operation is O(1) and allocates nothing. One thread (the engine's).
class BlockPool {
  public:
    explicit BlockPool(std::uint32_t n_blocks) : users_(n_blocks, 0) {
        free_.reserve(n_blocks);
        for (BlockId block = n_blocks; block > 0; --block) free_.push_back(block - 1);
    }

    // A block with one user, or none when all are in use. Blocks freed last come first: their lines may still be in a cache.
    [[nodiscard]] std::optional<BlockId> allocate() {
        if (free_.empty()) return std::nullopt;
        const BlockId block = free_.back();
        free_.pop_back();
        RAFTER_CHECK(users_[block] == 0, "block {} is free and has {} users", block, users_[block]);
        users_[block] = 1;
        return block;
    }
    // One more user, of a block in use.
    void retain(BlockId block) {
        RAFTER_CHECK(n_users(block) > 0, "retain of block {}, which is free", block);
        RAFTER_CHECK(users_[block] < std::numeric_limits<std::uint32_t>::max(), "block {} has too many users", block);
        ++users_[block];
    }
    // One user less; the block is free again with its last.
    void release(BlockId block) {
        RAFTER_CHECK(n_users(block) > 0, "release of block {}, which is free", block);
        if (--users_[block] == 0) free_.push_back(block);
    }

    [[nodiscard]] std::uint32_t n_blocks() const { return static_cast<std::uint32_t>(users_.size()); }
    [[nodiscard]] std::uint32_t n_free() const { return static_cast<std::uint32_t>(free_.size()); }
    [[nodiscard]] std::uint32_t n_used() const { return n_blocks() - n_free(); }
    [[nodiscard]] std::uint32_t n_users(BlockId block) const {
        RAFTER_CHECK(block < users_.size(), "block {} of {}", block, users_.size());
        return users_[block];
    }

  private:
    std::vector<std::uint32_t> users_;  // [n_blocks]; 0: free
    std::vector<BlockId> free_;         // a stack, so that a pool that is used little touches little memory
};

}  // namespace rafter::kv
