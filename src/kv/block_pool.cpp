// The free blocks are a stack, so that a pool that is used little touches little memory.
#include "kv/block_pool.h"

#include <limits>

#include "base/check.h"

namespace rafter::kv {

BlockPool::BlockPool(std::uint32_t n_blocks) : users_(n_blocks, 0) {
    free_.reserve(n_blocks);
    for (BlockId block = n_blocks; block > 0; --block) free_.push_back(block - 1);
}

std::optional<BlockId> BlockPool::allocate() {
    if (free_.empty()) return std::nullopt;
    const BlockId block = free_.back();
    free_.pop_back();
    RAFTER_CHECK(users_[block] == 0, "block {} is free and has {} users", block, users_[block]);
    users_[block] = 1;
    return block;
}

void BlockPool::retain(BlockId block) {
    RAFTER_CHECK(n_users(block) > 0, "retain of block {}, which is free", block);
    RAFTER_CHECK(users_[block] < std::numeric_limits<std::uint32_t>::max(), "block {} has too many users", block);
    ++users_[block];
}

void BlockPool::release(BlockId block) {
    RAFTER_CHECK(n_users(block) > 0, "release of block {}, which is free", block);
    if (--users_[block] == 0) free_.push_back(block);
}

std::uint32_t BlockPool::n_users(BlockId block) const {
    RAFTER_CHECK(block < users_.size(), "block {} of {}", block, users_.size());
    return users_[block];
}

}  // namespace rafter::kv
