// From how many columns on a loaded model's matrices go to tiles, as the machine's profile says: on the model of the tiles.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/cpu/cpu_model.h"
#include "files/gguf.h"
#include "model/model_file.h"
#include "model/rewrites.h"
#include "tests/backend/tiled_kernels.h"
#include "tests/support/tiny_model.h"

namespace rafter::backend::cpu {
namespace {

using tensor::DType;

// What the kernels were asked for: plain functions know no test, and one thread runs them.
struct TuneSeen {
    std::map<DType, std::set<std::uint32_t>> min_tile_columns;
    std::set<std::uint32_t> n_columns;          // of weights that tiles can multiply
    std::set<std::uint32_t> n_columns_vectors;  // of these, those that were left to vectors
};
TuneSeen tune_seen;  // NOLINT

void run_tune_vectors(const LinearTask& task) {
    if (has_tile_kernel(task.weights.dtype, task.encoding)) tune_seen.n_columns_vectors.insert(task.n_columns);
    linear_kernels(best_isa()).run(task);
}
constexpr LinearKernels kTuneVectors = {.run = run_tune_vectors, .quantize = nullptr};

void run_on_model_tiles(const LinearTask& task) {
    tune_seen.min_tile_columns[task.weights.dtype].insert(task.min_tile_columns);
    if (has_tile_kernel(task.weights.dtype, task.encoding)) tune_seen.n_columns.insert(task.n_columns);
    rafter::tests::tiled_scalar(task, kTuneVectors);
}

hardware::Profile machine_with_tiles(std::vector<hardware::TileReading> tiles) {
    hardware::Profile machine;
    machine.tiles = std::move(tiles);
    return machine;
}

class TunedModel : public testing::TestWithParam<std::string> {
  protected:
    TunedModel() {
        const auto file = files::GgufFile::parse(bytes_, GetParam());
        const auto bound = model::bind(model::build(*model::read_config(*file, {})), *file);
        LoadOptions options{.limits = {.n_tokens = 64, .n_outputs = 64, .n_positions = 64}, .cache = {}, .progress = {}};
        options.cache.n_blocks.assign(bound->cache_groups.size(), 8);
        kernels_.quantize = linear_kernels(best_isa()).quantize;
        auto loaded = CpuModel::load(model::rewrite(*bound, {}), *file, options, pool_, best_isa(), &kernels_);
        EXPECT_TRUE(loaded) << loaded.error().message;
        model_ = std::move(*loaded);
    }

    // Logits of a prompt's every token, computed in one step.
    std::vector<float> logits(std::uint32_t n_tokens) {
        tune_seen = {};
        Batch batch;
        const std::vector<std::vector<BlockId>> tables(model_->program().cache_groups.size(), {0, 1, 2, 3});
        batch.sequences.push_back(
            {.step = {.n_new = n_tokens, .n_past = 0, .n_outputs = n_tokens}, .first_row = 0, .block_tables = tables});
        for (std::uint32_t i = 0; i < n_tokens; ++i) {
            batch.output_rows.push_back(i);
            batch.tokens.push_back(static_cast<std::int32_t>(i * 37 % 200));
            batch.positions.push_back(i);
        }
        const StepOutput out = model_->forward(batch);
        return {out.logits.begin(), out.logits.end()};
    }

    std::vector<std::byte> bytes_ = model::tiny_gguf({.name = GetParam(), .matrices = DType::kQ8_0});
    ThreadPool pool_{{.n_threads = 1, .pin = false}};
    LinearKernels kernels_ = {.run = run_on_model_tiles, .quantize = nullptr};
    std::unique_ptr<DeviceModel> model_;
};

TEST_P(TunedModel, AsksForTilesFromAsManyColumnsAsTheProfileSays) {
    const std::vector<float> expected = logits(12);
    ASSERT_EQ(tune_seen.min_tile_columns[DType::kQ8_0], std::set<std::uint32_t>{kMinTileColumns});
    for (const std::uint32_t least : {1U, 5U, 13U, 17U}) {
        model_->tune(machine_with_tiles({{.weights = DType::kQ4_0, .min_columns = 3}, {.weights = DType::kQ8_0, .min_columns = least}}));
        const std::vector<float> found = logits(12);
        EXPECT_EQ(tune_seen.min_tile_columns[DType::kQ8_0], std::set<std::uint32_t>{least});
        for (const std::uint32_t n : tune_seen.n_columns) {
            EXPECT_EQ(tune_seen.n_columns_vectors.contains(n), n < least) << n << " columns, tiles from " << least << " on";
        }
        ASSERT_EQ(found.size(), expected.size());
        EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0) << "tiles from " << least << " on";
    }
    model_->tune(machine_with_tiles({{.weights = DType::kQ4_0, .min_columns = 3}}));  // nothing of Q8_0
    EXPECT_EQ(logits(12), expected);
    EXPECT_EQ(tune_seen.min_tile_columns[DType::kQ8_0], std::set<std::uint32_t>{kMinTileColumns});
}

// Experts have as many columns as tokens chose them.
TEST_P(TunedModel, EachGroupOfTokensChoosesByItsOwnSize) {
    constexpr std::uint32_t kTokens = 12;
    const std::vector<float> expected = logits(kTokens);
    model_->tune(machine_with_tiles({{.weights = DType::kQ8_0, .min_columns = 4}}));
    EXPECT_EQ(logits(kTokens), expected);
    const bool has_experts = model_->program().config.moe.n_experts > 0;
    EXPECT_EQ(tune_seen.n_columns.size() > 1, has_experts);
    for (const std::uint32_t n : tune_seen.n_columns) EXPECT_EQ(tune_seen.n_columns_vectors.contains(n), n < 4) << n << " columns";
}

INSTANTIATE_TEST_SUITE_P(Models, TunedModel, testing::Values("llama", "qwen3moe"));

}  // namespace
}  // namespace rafter::backend::cpu
