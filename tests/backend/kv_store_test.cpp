// The cache's memory: copies of blocks against copies of byte vectors, and options that make no sense.
#include "backend/cpu/kv_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace rafter::backend::cpu {
namespace {

using Blocks = std::vector<std::vector<std::vector<std::byte>>>;  // [n_layers][n_blocks][part_bytes]

Blocks read_all(const KvStore& store, std::size_t n_layers) {
    Blocks blocks(n_layers);
    for (std::uint32_t l = 0; l < n_layers; ++l) {
        const KvLayer& layer = store.layer(l);
        for (BlockId b = 0; b < store.n_blocks(layer.group); ++b) {
            blocks[l].emplace_back(layer.head(b, 0), layer.head(b, 0) + layer.part_bytes);
        }
    }
    return blocks;
}

TEST(KvStore, CopiesWholeBlocksInOrderWhateverThePartsAndTheirOrder) {
    model::Program program;
    program.config.n_layers = 5;
    program.config.n_kv_heads = 3;
    program.config.head_dim = 20;
    program.cache_groups = {{.window = 0, .layers = {0, 3}}, {.window = 8, .layers = {1, 2, 4}}};
    std::mt19937 random(1);
    for (const std::size_t n_parts : {1U, 2U, 3U, 4U, 64U}) {
        const auto store = KvStore::create(program, {.block_size = 32, .n_blocks = {7, 5}});
        ASSERT_TRUE(store);
        for (std::uint32_t l = 0; l < 5; ++l) {
            const KvLayer& layer = store->layer(l);
            for (BlockId b = 0; b < store->n_blocks(layer.group); ++b)
                std::generate_n(layer.head(b, 0), layer.part_bytes, [&] { return static_cast<std::byte>(random()); });
        }
        std::vector<BlockCopy> copies(12);
        for (BlockCopy& copy : copies) {
            copy.group = random() % 2;
            copy.from = static_cast<BlockId>(random() % store->n_blocks(copy.group));
            copy.to = static_cast<BlockId>(random() % store->n_blocks(copy.group));
        }
        Blocks expected = read_all(*store, 5);
        for (const BlockCopy& copy : copies) {
            for (const std::uint32_t l : program.cache_groups[copy.group].layers) {
                const std::vector<std::byte> from = expected[l][copy.from];
                expected[l][copy.to] = from;
            }
        }
        std::vector<std::size_t> parts(n_parts);
        std::iota(parts.begin(), parts.end(), 0);
        std::shuffle(parts.begin(), parts.end(), random);
        for (const std::size_t part : parts) store->copy_blocks(copies, part, n_parts);
        EXPECT_EQ(read_all(*store, 5), expected) << n_parts;
    }
}

TEST(KvStore, RefusesOptionsThatMakeNoSense) {
    model::Program program;
    program.config.n_layers = 1;
    program.config.n_kv_heads = 1;
    program.config.head_dim = 16;
    program.cache_groups = {{.window = 0, .layers = {0}}};
    EXPECT_FALSE(KvStore::create(program, {.block_size = 24, .n_blocks = {1}}));
    EXPECT_FALSE(KvStore::create(program, {.block_size = 8, .n_blocks = {1}}));
    EXPECT_FALSE(KvStore::create(program, {.block_size = 512, .n_blocks = {1}}));
    EXPECT_FALSE(KvStore::create(program, {.block_size = 16, .n_blocks = {}}));
    const auto store = KvStore::create(program, {.block_size = 16, .n_blocks = {10}});
    ASSERT_TRUE(store);
    EXPECT_EQ(store->size_bytes(), 10U * 2 * 16 * 16 * 2);
    EXPECT_EQ(store->max_positions(), 160U);
}

}  // namespace
}  // namespace rafter::backend::cpu
