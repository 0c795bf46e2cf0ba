// A fixed number of KV-cache blocks with reference counts: which are free, and how many sequences use each of the others. Pure bookkeeping;
// the keys and values themselves are the backend's.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

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
    explicit BlockPool(std::uint32_t n_blocks);

    // A block with one user, or none when all are in use. Blocks freed last come first: their lines may still be in a cache.
    [[nodiscard]] std::optional<BlockId> allocate();
    // One more user, of a block in use.
    void retain(BlockId block);
    // One user less; the block is free again with its last.
    void release(BlockId block);

    [[nodiscard]] std::uint32_t n_blocks() const { return static_cast<std::uint32_t>(users_.size()); }
    [[nodiscard]] std::uint32_t n_free() const { return static_cast<std::uint32_t>(free_.size()); }
    [[nodiscard]] std::uint32_t n_used() const { return n_blocks() - n_free(); }
    [[nodiscard]] std::uint32_t n_users(BlockId block) const;

  private:
    std::vector<std::uint32_t> users_;  // [n_blocks]; 0: free
    std::vector<BlockId> free_;         // a stack
};

}  // namespace rafter::kv
