// Sizes of tiles and blocks, and the memory for them.
#include "backend/cpu/kv_store.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace rafter::backend::cpu {
namespace {

// The numbers of a layer's part of a block; base and block_bytes are the group's matter.
KvLayer layout_of(const model::ModelConfig& config, const KvCacheOptions& options) {
    KvLayer layer;
    layer.key_type = options.key_type;
    layer.value_type = options.value_type;
    layer.tiles_per_block = options.block_size / kTilePositions;
    layer.key_tile_bytes = kTilePositions * kv_row_bytes(options.key_type, config.head_dim);
    layer.value_tile_bytes = kTilePositions * kv_row_bytes(options.value_type, padded_to_16(config.head_dim));
    // Each head's part starts on a cache line.
    layer.values_offset = (layer.tiles_per_block * layer.key_tile_bytes + 63) / 64 * 64;
    layer.head_bytes = layer.values_offset + (layer.tiles_per_block * layer.value_tile_bytes + 63) / 64 * 64;
    return layer;
}

}  // namespace

std::size_t kv_block_bytes(const model::Program& program, const KvCacheOptions& options, std::size_t group) {
    const std::size_t n_layers = program.cache_groups[group].layers.size();
    return n_layers * program.config.n_kv_heads * layout_of(program.config, options).head_bytes;
}

Result<KvStore> KvStore::create(const model::Program& program, const KvCacheOptions& options) {
    if (!std::has_single_bit(options.block_size) || options.block_size < 16 || options.block_size > 256) {
        return Error{fmt::format("KV cache: expected a block size that is a power of two from 16 to 256, found {}", options.block_size),
                     ErrorKind::kUsage};
    }
    if (options.n_blocks.size() != program.cache_groups.size()) {
        return Error{fmt::format("KV cache: expected block counts for {} groups of layers, found {}", program.cache_groups.size(),
                                 options.n_blocks.size()),
                     ErrorKind::kUsage};
    }
    KvStore store;
    store.block_size_ = options.block_size;
    store.n_blocks_ = options.n_blocks;
    store.layers_.resize(program.config.n_layers);
    for (std::size_t g = 0; g < program.cache_groups.size(); ++g) {
        const std::size_t n_blocks = options.n_blocks[g];
        const std::size_t block_bytes = kv_block_bytes(program, options, g);
        if (n_blocks > std::numeric_limits<std::size_t>::max() / std::max<std::size_t>(block_bytes, 1)) {
            return Error{fmt::format("KV cache: {} blocks of {} are more than any memory holds", n_blocks, format_bytes(block_bytes)),
                         ErrorKind::kOutOfMemory};
        }
        RAFTER_TRY(PageBuffer memory, PageBuffer::allocate(n_blocks * block_bytes, "KV cache"));
        const std::vector<std::uint32_t>& layers = program.cache_groups[g].layers;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            KvLayer layer = layout_of(program.config, options);
            layer.group = static_cast<std::uint32_t>(g);
            // A block's layers are neighbours: a short sequence touches few pages, where a large page for each layer would be zeroed first.
            layer.block_bytes = block_bytes;
            layer.part_bytes = program.config.n_kv_heads * layer.head_bytes;
            layer.base = memory.data() + i * layer.part_bytes;
            store.layers_[layers[i]] = layer;
        }
        store.max_positions_ = std::max(store.max_positions_, n_blocks * options.block_size);
        store.groups_.push_back(std::move(memory));
        store.block_bytes_.push_back(block_bytes);
    }
    return store;
}

void KvStore::touch(ThreadPool& pool) {
    for (const PageBuffer& group : groups_) {
        pool.run([&](unsigned thread) {
            const std::size_t begin = group.size_bytes() * thread / pool.n_threads();
            const std::size_t end = group.size_bytes() * (thread + std::size_t{1}) / pool.n_threads();
            std::memset(group.data() + begin, 0, end - begin);
        });
    }
}

void KvStore::copy_blocks(std::span<const BlockCopy> copies, std::size_t part, std::size_t n_parts) const {
    for (const KvLayer& layer : layers_) {
        const std::size_t n_lines = layer.part_bytes / 64;
        const std::size_t begin = n_lines * part / n_parts * 64;
        const std::size_t n = n_lines * (part + 1) / n_parts * 64 - begin;
        for (const BlockCopy& copy : copies) {
            if (copy.group != layer.group || copy.from == copy.to) continue;
            std::memcpy(layer.head(copy.to, 0) + begin, layer.head(copy.from, 0) + begin, n);
        }
    }
}

std::size_t KvStore::size_bytes() const {
    std::size_t size = 0;
    for (const PageBuffer& group : groups_) size += group.size_bytes();
    return size;
}

}  // namespace rafter::backend::cpu
