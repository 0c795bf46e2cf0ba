// Where keys and values lie in memory. A block (kv/ hands out their numbers) holds block_size positions of all layers of its group; within
// it each layer and KV head has tiles of 16 positions, laid out as attention reads them:
//   keys    [head_dim][16 positions]                      a score's lanes are positions: no sums across lanes
//   values  [head_dim / 16, rounded up][16 positions][16] an output's lanes are elements; the last chunk is padded
// In a quantised tile each group of 32 elements lies by itself: its scales [16 positions] (and of Q4 its minimums [16]) as F16, then its
// integers in the above order, of Q4 two in a byte, the low half first. These are two elements of one position, so that no two positions
// share a byte: d and d + 1 of keys [16 pairs][16 positions], i and i + 8 of a chunk of values [2 chunks][16 positions][8].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/batch.h"
#include "base/os_memory.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "model/program.h"

namespace rafter::backend::cpu {

inline constexpr std::uint32_t kTilePositions = 16;

// Internal linkage, as in all that files of one instruction set include (vec_scalar.h).
[[nodiscard]] static constexpr std::size_t padded_to_16(std::size_t n) { return (n + 15) / 16 * 16; }

[[nodiscard]] static constexpr bool is_quantized(KvType type) { return type == KvType::kQ8 || type == KvType::kQ4; }

// Where a group's integers begin in a quantised tile, how far two chunks of a value's 16 elements lie apart, and how far two groups.
[[nodiscard]] static constexpr std::size_t kv_integers_offset(KvType type) { return type == KvType::kQ8 ? 32 : 64; }
[[nodiscard]] static constexpr std::size_t kv_chunk_bytes(KvType type) { return type == KvType::kQ8 ? 256 : 128; }
[[nodiscard]] static constexpr std::size_t kv_group_bytes(KvType type) { return kv_integers_offset(type) + 2 * kv_chunk_bytes(type); }

// One layer's part of the store: plain numbers, copied freely.
struct KvLayer {
    std::byte* base = nullptr;
    std::size_t block_bytes = 0;    // from a block to the next
    std::size_t part_bytes = 0;     // of a block: this layer's
    std::size_t head_bytes = 0;     // from a KV head to the next in a block
    std::size_t values_offset = 0;  // from a head's keys to its values
    std::size_t key_tile_bytes = 0;
    std::size_t value_tile_bytes = 0;
    std::uint32_t tiles_per_block = 0;  // block_size / 16
    std::uint32_t group = 0;            // whose block tables it uses
    KvType key_type = KvType::kF16;
    KvType value_type = KvType::kF16;

    [[nodiscard]] std::byte* head(BlockId block, std::uint32_t kv_head) const {
        return base + std::size_t{block} * block_bytes + std::size_t{kv_head} * head_bytes;
    }
    // Tiles are counted from position 0; table: the sequence's blocks in this layer's group.
    [[nodiscard]] std::byte* key_tile(const std::vector<BlockId>& table, std::uint32_t kv_head, std::size_t tile) const {
        return head(table[tile / tiles_per_block], kv_head) + tile % tiles_per_block * key_tile_bytes;
    }
    [[nodiscard]] std::byte* value_tile(const std::vector<BlockId>& table, std::uint32_t kv_head, std::size_t tile) const {
        return head(table[tile / tiles_per_block], kv_head) + values_offset + tile % tiles_per_block * value_tile_bytes;
    }
};

// Owns the memory of all groups. Blocks start out zeroed; a freed block's old contents stay and are never read before they are rewritten.
class KvStore {
  public:
    // Fails on options that make no sense and on memory that is not to be had.
    [[nodiscard]] static Result<KvStore> create(const model::Program& program, const KvCacheOptions& options);

    // Zeros everywhere: the memory of pages that were never written is not there yet.
    void touch(ThreadPool& pool);

    // Part `part` of n_parts of whole blocks, one after the other. Parts are apart from each other in memory, also along a chain of copies.
    void copy_blocks(std::span<const BlockCopy> copies, std::size_t part, std::size_t n_parts) const;

    // All of a block: its layers one after the other.
    [[nodiscard]] std::span<std::byte> block(std::size_t group, BlockId block) const {
        return {groups_[group].data() + std::size_t{block} * block_bytes_[group], block_bytes_[group]};
    }
    [[nodiscard]] std::size_t block_bytes(std::size_t group) const { return block_bytes_[group]; }
    [[nodiscard]] const KvLayer& layer(std::uint32_t layer) const { return layers_[layer]; }
    [[nodiscard]] std::uint32_t block_size() const { return block_size_; }
    [[nodiscard]] std::size_t size_bytes() const;
    [[nodiscard]] std::size_t n_groups() const { return n_blocks_.size(); }
    [[nodiscard]] std::uint32_t n_blocks(std::size_t group) const { return n_blocks_[group]; }
    // Positions that a group's blocks hold together: no sequence is longer.
    [[nodiscard]] std::size_t max_positions() const { return max_positions_; }

  private:
    std::vector<PageBuffer> groups_;
    std::vector<std::uint32_t> n_blocks_;   // [n_cache_groups]
    std::vector<std::size_t> block_bytes_;  // [n_cache_groups]
    std::vector<KvLayer> layers_;           // [n_layers]
    std::uint32_t block_size_ = 0;
    std::size_t max_positions_ = 0;
};

// What a group's blocks take, a block.
[[nodiscard]] std::size_t kv_block_bytes(const model::Program& program, const KvCacheOptions& options, std::size_t group);

}  // namespace rafter::backend::cpu
