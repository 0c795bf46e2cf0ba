// The price counts what the kernels are really called for: random steps go through the kernels' own split with kernels that only take
// notes, and through the price.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "backend/cpu/attention_step.h"
#include "backend/cpu/price/attention_price.h"
#include "backend/cpu/price/step_price.h"
#include "backend/cpu/split.h"
#include "tests/support/rounds.h"

namespace rafter::backend::cpu {
namespace {

using model::OpKind;

// What the kernels were called for; one thread runs all items.
AttentionWork g_called;

void note_attend(const AttentionPiece& piece, float* /*scores*/, float* /*states*/) {
    std::uint32_t begin = kPiecePositions;
    std::uint32_t end = 0;
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        if (piece.begin[q] >= piece.end[q]) continue;
        begin = std::min(begin, piece.begin[q]);
        end = std::max(end, piece.end[q]);
    }
    ASSERT_LT(begin, end);
    g_called.n_calls += 1;
    g_called.n_queries += piece.n_queries;
    g_called.n_positions += ((end + kTilePositions - 1) / kTilePositions - begin / kTilePositions) * kTilePositions;
}
void note_merge(const float* /*piece*/, std::size_t /*head_dim*/, float* /*total*/) {}
void note_finish(const float* /*total*/, const float* /*sink*/, std::size_t /*head_dim*/, float* /*y*/) {}
constexpr AttentionKernels kNotes{.attend = note_attend, .merge = note_merge, .finish = note_finish};

TEST(SplitAgreement, AttentionIsPricedForTheCallsThatItsKernelsGet) {
    std::mt19937 random(3);
    const auto one_of = [&](auto... n) { return std::array{n...}[random() % sizeof...(n)]; };
    int n_merged = 0;
    for (int round = 0; round < tests::rounds(400); ++round) {
        model::AttentionOptions options{
            .n_kv_heads = one_of(1U, 2U, 3U), .head_dim = one_of(16U, 40U), .window = one_of(0U, 0U, 24U, 700U)};
        options.n_heads = options.n_kv_heads * one_of(1U, 3U, 4U, 7U, 16U, 30U);
        const unsigned n_threads = one_of(1U, 2U, 5U, 16U, 64U);
        Batch batch;
        for (std::uint32_t s = 0, n = 1 + random() % 6; s < n; ++s) {
            BatchSequence sequence{.step = {.n_new = one_of(1U, 1U, 2U, 5U, 17U, 60U), .n_past = one_of(0U, 3U, 255U, 256U, 900U, 5000U)},
                                   .first_row = static_cast<std::uint32_t>(batch.tokens.size()),
                                   .block_tables = {}};
            const std::uint32_t end = sequence.step.n_past + sequence.step.n_new;
            sequence.block_tables = {std::vector<BlockId>(end / kTilePositions + 1, 0)};
            for (std::uint32_t p = sequence.step.n_past; p < end; ++p) {
                batch.tokens.push_back(0);
                batch.positions.push_back(p);
            }
            batch.sequences.push_back(std::move(sequence));
        }
        model::ModelConfig config;
        config.head_dim = options.head_dim;
        config.n_heads = options.n_heads;
        auto scratch = AttentionScratch::create(config, 1U << 16U, n_threads);
        ASSERT_TRUE(scratch);
        const AttentionPlan plan = plan_attention(batch, options, n_threads, std::size_t{1} << 40U);  // room for all partial results
        AttentionProgress progress;
        progress.reset(plan);
        std::vector<std::byte> tile(4096);
        const KvLayer layer{.base = tile.data(), .tiles_per_block = 1};
        std::vector<float> values(batch.tokens.size() * options.n_heads * options.head_dim);
        const std::size_t stride = std::size_t{options.n_heads} * options.head_dim;
        g_called = {.n_items = static_cast<double>(plan.items.size())};
        run_attention({.batch = batch,
                       .options = options,
                       .layer = layer,
                       .kernels = kNotes,
                       .q = values.data(),
                       .q_stride = stride,
                       .y = values.data(),
                       .y_stride = stride,
                       .sinks = nullptr},
                      plan, *scratch, 0, progress);
        const AttentionWork priced = count_attention(options, batch.shape(), n_threads);
        const std::string what =
            fmt::format("round {}: {} heads, {} KV heads, {} threads", round, options.n_heads, options.n_kv_heads, n_threads);
        EXPECT_DOUBLE_EQ(priced.n_items, g_called.n_items) << what;
        EXPECT_DOUBLE_EQ(priced.n_calls, g_called.n_calls) << what;
        EXPECT_DOUBLE_EQ(priced.n_queries, g_called.n_queries) << what;
        EXPECT_DOUBLE_EQ(priced.n_positions, g_called.n_positions) << what;
        n_merged += !plan.merges.empty();
    }
    EXPECT_GT(n_merged, 0);
}

// A profile in which everything takes next to no time but what a test says.
hardware::Profile quiet_profile(unsigned n_threads) {
    hardware::Profile p;
    p.key = {.cpu = "x", .n_threads = n_threads, .isa = "scalar", .version = "1"};
    p.bandwidth = {{.n_threads = n_threads, .working_set_bytes = 1e6, .bytes_per_s = 1e18, .best_bytes_per_s = 1e18, .spread = 0.0}};
    p.float_flop_per_s = 1e18;
    p.int8_flop_per_s = 1e18;
    p.rows = {{.kind = "angles", .seconds_per_row = 0.0, .seconds_per_element = 0.0},
              {.kind = "add", .seconds_per_row = 1.0, .seconds_per_element = 1e-3},
              {.kind = "softcap", .seconds_per_row = 1.0, .seconds_per_element = 1e-3},
              {.kind = "rms_norm", .seconds_per_row = 1.0, .seconds_per_element = 1e-3}};
    p.matrices = {{.weights = tensor::DType::kF32,
                   .activations = "f32",
                   .n_columns = 1,
                   .from_memory = false,
                   .seconds_per_weight = 1e-6,
                   .spread = 0.0}};
    return p;
}

model::Op op_of(OpKind kind, std::vector<model::ValueId> inputs, std::vector<model::ValueId> outputs,
                std::vector<model::WeightId> weights) {
    return {.kind = kind,
            .name = "op",
            .inputs = std::move(inputs),
            .outputs = std::move(outputs),
            .weights = std::move(weights),
            .options = {},
            .parts = {}};
}

TEST(SplitAgreement, AMatrixIsPricedForTheBusiestThreadsShare) {
    std::mt19937 random(4);
    for (int round = 0; round < tests::rounds(300); ++round) {
        const auto n_threads = static_cast<unsigned>(1 + random() % 20);
        const std::uint32_t n_cols = 32 * (1 + random() % 4);
        model::Program program;
        program.values = {{.name = "x", .width = n_cols}};
        std::vector<PackedMatrix> matrices;
        model::Op op = op_of(OpKind::kLinear, {0}, {}, {});
        double all = 0.0;
        for (std::uint32_t i = 0, n = 1 + random() % 3; i < n; ++i) {
            const std::uint32_t n_rows = 1 + random() % 700;
            program.weights.push_back({.tensor = "w", .n_rows = n_rows, .n_cols = n_cols, .n_source_rows = n_rows});
            op.weights.push_back(i);
            matrices.push_back(packed_matrix(tensor::DType::kF32, n_rows, n_cols, nullptr));
            program.values.push_back({.name = "y", .width = n_rows});
            op.outputs.push_back(i + 1);
            all += matrices.back().n_panels;
        }
        program.ops = {op};
        const LinearSplit split = split_linear(1, n_threads);
        ASSERT_FALSE(split.as_threads_come);
        double busiest = 0.0;
        double covered = 0.0;
        for (unsigned t = 0; t < split.n_parts; ++t) {
            double panels = 0.0;
            for (const PanelRange& range : share_of(matrices, t, split.n_parts)) panels += range.last - range.first;
            busiest = std::max(busiest, panels);
            covered += panels;
        }
        EXPECT_EQ(covered, all);
        const double expected = n_threads < 2 ? all : busiest * n_threads;  // the reading is of all threads together
        const auto price = price_step(program, roofline::decode_step(1, 1), quiet_profile(n_threads), {});
        EXPECT_NEAR(price.ops[0].compute_seconds, expected * 16 * n_cols * 1e-6, 1e-9) << round;
        // With many columns threads take parts as they come: at most a part more than their even share.
        const auto many = price_step(program, roofline::decode_step(kManyColumns, 1), quiet_profile(n_threads), {});
        const double even = all * 16 * n_cols * 1e-6 * kManyColumns;
        EXPECT_GE(many.ops[0].compute_seconds, even * (1 - 1e-12));
        double part = 0.0;
        const LinearSplit parts = split_linear(kManyColumns, n_threads);
        ASSERT_TRUE(parts.as_threads_come);
        for (unsigned t = 0; t < parts.n_parts; ++t) {
            double panels = 0.0;
            for (const PanelRange& range : share_of(matrices, t, parts.n_parts)) panels += range.last - range.first;
            part = std::max(part, panels);
        }
        const double late = n_threads < 2 ? 0.0 : 0.5 * part * n_threads / all;
        EXPECT_NEAR(many.ops[0].compute_seconds, even * (1 + late), even * 1e-9) << round;
    }
}

TEST(SplitAgreement, RowsArePricedForTheBusiestThreadsShare) {
    std::mt19937 random(5);
    int n_by_columns = 0;
    for (int round = 0; round < tests::rounds(300); ++round) {
        const auto n_threads = static_cast<unsigned>(1 + random() % 20);
        const auto n_rows = static_cast<std::uint32_t>(1 + random() % 40);
        const auto width = static_cast<std::uint32_t>(1 + random() % 500);
        model::Program program;
        program.values = {{.name = "x", .width = width}, {.name = "y", .width = width}, {.name = "z", .width = width}};
        model::Op norm = op_of(OpKind::kRmsNorm, {0}, {1}, {});
        norm.options = model::NormOptions{.group = width};
        model::Op fused = op_of(OpKind::kFusedRows, {0}, {2}, {});
        fused.parts = {op_of(OpKind::kAdd, {0, 0}, {1}, {}), op_of(OpKind::kAdd, {1, 0}, {2}, {})};
        program.ops = {op_of(OpKind::kAdd, {0, 0}, {1}, {}), norm, fused, op_of(OpKind::kSoftcap, {0}, {1}, {})};
        const auto price = price_step(program, roofline::decode_step(n_rows, 1), quiet_profile(n_threads), {});
        for (std::size_t i = 0; i < 3; ++i) {
            const auto by = column_width(program, program.ops[i]);
            EXPECT_EQ(by.has_value(), i != 1);
            double busiest = 0.0;
            std::size_t elements = 0;
            for (unsigned t = 0; t < n_threads; ++t) {
                const RowShare share = share_of_rows(n_rows, by, t, n_threads);
                const std::size_t n = share.columns ? share.columns->n : width;
                elements += (share.end - share.first) * n;
                busiest = std::max(busiest, static_cast<double>(share.end - share.first) * (1.0 + 1e-3 * static_cast<double>(n)));
                n_by_columns += share.columns.has_value();
            }
            EXPECT_EQ(elements, std::size_t{n_rows} * width);
            EXPECT_NEAR(price.ops[i].compute_seconds, (i == 2 ? 2 : 1) * busiest, 1e-9) << round << ", op " << i;
        }
        std::size_t most = 0;
        std::size_t all = 0;
        for (unsigned t = 0; t < n_threads; ++t) {
            most = std::max(most, share_of_columns(width, t, n_threads).n);
            all += share_of_columns(width, t, n_threads).n;
        }
        EXPECT_EQ(all, width);
        EXPECT_NEAR(price.ops[3].compute_seconds, n_rows * (1.0 + 1e-3 * static_cast<double>(most)), 1e-9) << round;
    }
    EXPECT_GT(n_by_columns, 0);
}

}  // namespace
}  // namespace rafter::backend::cpu
