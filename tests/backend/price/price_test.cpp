// Prices from a made-up profile, whose numbers are round enough that each price can be written down by hand.
#include "backend/cpu/price/step_price.h"

#include <gtest/gtest.h>

#include "backend/cpu/price/attention_price.h"

namespace rafter::backend::cpu {
namespace {

using hardware::Profile;
using roofline::decode_step;
using roofline::prefill_step;
using roofline::PriceBound;
using roofline::StepPrice;
using tensor::DType;

// One layer-free program: a matrix [64, 256] on token rows, and an op on rows.
model::Program one_matrix(DType dtype, model::Encoding encoding) {
    model::Program program;
    program.config.n_layers = 0;
    program.values = {{.name = "x", .rows = model::RowKind::kTokens, .width = 256, .encoding = encoding},
                      {.name = "y", .rows = model::RowKind::kTokens, .width = 64}};
    program.weights = {
        {.tensor = "w", .kind = model::WeightKind::kMatrix, .n_rows = 64, .n_cols = 256, .n_source_rows = 64, .dtype = dtype}};
    program.ops = {
        {.kind = model::OpKind::kLinear, .name = "w", .inputs = {0}, .outputs = {1}, .weights = {0}, .options = {}, .parts = {}}};
    program.logits = 1;
    program.hidden = 1;
    return program;
}

// 10 GB/s from everywhere; a weight of Q8_0 takes 1 ns of arithmetic a column.
Profile round_profile(double cold_seconds) {
    Profile p;
    p.key = {.cpu = "x", .n_threads = 1, .isa = "scalar", .version = "1"};
    p.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = 10e9, .best_bytes_per_s = 20e9, .spread = 0.0}};
    p.float_flop_per_s = 1e9;
    p.int8_flop_per_s = 4e9;
    p.stream_bytes_per_s = 10e9;
    p.rows = {{.kind = "angles", .seconds_per_row = 0.0, .seconds_per_element = 0.0}};
    p.matrices = {
        {.weights = DType::kQ8_0, .activations = "q8", .n_columns = 1, .from_memory = false, .seconds_per_weight = 1e-9, .spread = 0.0},
        {.weights = DType::kQ8_0,
         .activations = "q8",
         .n_columns = 1,
         .from_memory = true,
         .seconds_per_weight = cold_seconds,
         .spread = 0.0}};
    return p;
}

constexpr double kWeights = 64 * 256;
constexpr double kBytes = 34.0 / 32.0;  // a weight of Q8_0

TEST(CpuPrice, AMatrixThatHidesItsReadingTakesTheLargerOfBoth) {
    const StepPrice price = price_step(one_matrix(DType::kQ8_0, model::Encoding::kQ8), decode_step(1, 1), round_profile(1e-9), {});
    ASSERT_EQ(price.ops.size(), 1U);
    EXPECT_TRUE(price.complete);
    EXPECT_DOUBLE_EQ(price.ops[0].compute_seconds, kWeights * 1e-9);
    EXPECT_DOUBLE_EQ(price.ops[0].memory_seconds, kWeights * kBytes / 10e9);
    EXPECT_DOUBLE_EQ(price.ops[0].seconds, kWeights * 1e-9);
    EXPECT_EQ(price.ops[0].bound, PriceBound::kCompute);
    EXPECT_DOUBLE_EQ(price.seconds, price.ops[0].seconds);
}

TEST(CpuPrice, AMatrixThatHidesNothingTakesBoth) {
    const StepPrice price =
        price_step(one_matrix(DType::kQ8_0, model::Encoding::kQ8), decode_step(1, 1), round_profile(1e-9 + kBytes / 10e9), {});
    EXPECT_NEAR(price.ops[0].seconds, kWeights * (1e-9 + kBytes / 10e9), 1e-12);
}

TEST(CpuPrice, TheRoofIsTheBestBandwidthOrThePeakOfTheInputsArithmetic) {
    const StepPrice price = price_step(one_matrix(DType::kQ8_0, model::Encoding::kQ8), decode_step(1, 1), round_profile(1e-9), {});
    EXPECT_DOUBLE_EQ(price.ops[0].roof_seconds, std::max(kWeights * kBytes / 20e9, 2 * kWeights / 4e9));
    EXPECT_DOUBLE_EQ(price.working_set_bytes, kWeights * kBytes);
    EXPECT_NEAR(price.roof_bytes_per_s, 20e9, 1);
}

TEST(CpuPrice, MoreColumnsCostInProportionBeyondTheReadings) {
    const Profile p = round_profile(1e-9);
    const auto program = one_matrix(DType::kQ8_0, model::Encoding::kQ8);
    const double one = price_step(program, decode_step(1, 1), p, {}).ops[0].compute_seconds;
    EXPECT_DOUBLE_EQ(price_step(program, decode_step(8, 1), p, {}).ops[0].compute_seconds, 8 * one);
}

// A machine with tiles, as `rafter probe` writes its profile: 1 ns of vectors a column, 6 ns a tile of up to 16 from 8 columns on.
Profile tiled_machine() {
    Profile p = round_profile(1e-9);
    p.int8_unit = "AMX int8 (K = 32)";
    p.int8_flop_per_s = 40e9;
    p.tiles = {{.weights = DType::kQ8_0, .min_columns = 8}};
    for (const auto& [n, seconds] : {std::pair{4U, 4e-9}, std::pair{8U, 6e-9}, std::pair{16U, 6e-9}, std::pair{64U, 24e-9}}) {
        p.matrices.push_back({.weights = DType::kQ8_0,
                              .activations = "q8",
                              .n_columns = n,
                              .from_memory = false,
                              .seconds_per_weight = seconds,
                              .spread = 0.0});
    }
    return p;
}

TEST(CpuPrice, TilesArePricedByTheWholeTileAndDividedByTheirOwnRoof) {
    const Profile p = tiled_machine();
    const auto program = one_matrix(DType::kQ8_0, model::Encoding::kQ8);
    const auto compute = [&](double n) { return price_step(program, decode_step(n, 1), p, {}).ops[0].compute_seconds; };
    EXPECT_DOUBLE_EQ(compute(7), kWeights * 7e-9);
    EXPECT_DOUBLE_EQ(compute(8), kWeights * 6e-9);
    EXPECT_DOUBLE_EQ(compute(16), kWeights * 6e-9);
    EXPECT_DOUBLE_EQ(compute(18), kWeights * (6e-9 + 2e-9));
    EXPECT_DOUBLE_EQ(compute(32), kWeights * 12e-9);
    const StepPrice price = price_step(program, decode_step(64, 1), p, {});
    EXPECT_EQ(price.int8_unit, "AMX int8 (K = 32)");
    EXPECT_EQ(price.ops[0].arithmetic, roofline::Arithmetic::kInt8);
    EXPECT_DOUBLE_EQ(price.ops[0].roof_seconds, 64 * 2 * kWeights / 40e9);
    EXPECT_EQ(price_step(one_matrix(DType::kF16, model::Encoding::kF32), decode_step(1, 1), p, {}).ops[0].arithmetic,
              roofline::Arithmetic::kFloat);
}

TEST(CpuPrice, PanelsThatDoNotDivideKeepOneThreadLonger) {
    Profile p = round_profile(1e-9);
    p.key.n_threads = 3;  // 4 panels of 16 rows: two, one and one
    const auto price = price_step(one_matrix(DType::kQ8_0, model::Encoding::kQ8), decode_step(1, 1), p, {});
    EXPECT_DOUBLE_EQ(price.ops[0].compute_seconds, kWeights * 1e-9 * 1.5);
}

TEST(CpuPrice, ThreadsThatHandOverPayForItAndASingleOneDoesNot) {
    Profile p = round_profile(1e-9);
    p.handover_seconds = 1e-3;
    const auto program = one_matrix(DType::kQ8_0, model::Encoding::kQ8);
    EXPECT_EQ(price_step(program, decode_step(1, 1), p, {}).ops[0].overhead_seconds, 0.0);
    p.key.n_threads = 2;
    EXPECT_DOUBLE_EQ(price_step(program, decode_step(1, 1), p, {}).ops[0].overhead_seconds, 1e-3);
    EXPECT_EQ(price_step(program, decode_step(1, 1), p, {}).ops[0].bound, PriceBound::kOverhead);
}

TEST(CpuPrice, AKernelWithoutAReadingIsSaidAndPricedAtThePeak) {
    const StepPrice price = price_step(one_matrix(DType::kF16, model::Encoding::kF32), decode_step(1, 1), round_profile(1e-9), {});
    EXPECT_FALSE(price.complete);
    EXPECT_DOUBLE_EQ(price.ops[0].compute_seconds, 2 * kWeights / 1e9);
}

Profile attention_profile() {
    Profile p;
    p.key.n_threads = 1;
    for (const auto& [queries, seconds] : {std::pair{1U, 1e-6}, std::pair{3U, 2e-6}}) {
        p.attention.push_back({.kv_type = "f16",
                               .n_queries = queries,
                               .head_dim = 64,
                               .n_positions = 256,
                               .from_memory = false,
                               .seconds = seconds,
                               .spread = 0});
        p.attention.push_back({.kv_type = "f16",
                               .n_queries = queries,
                               .head_dim = 256,
                               .n_positions = 256,
                               .from_memory = false,
                               .seconds = 4 * seconds,
                               .spread = 0});
        p.attention.push_back({.kv_type = "f16",
                               .n_queries = queries,
                               .head_dim = 64,
                               .n_positions = 16,
                               .from_memory = false,
                               .seconds = seconds / 10,
                               .spread = 0});
    }
    return p;
}

TEST(CpuAttentionPrice, APieceIsLinearInQueriesHeadAndPositions) {
    const Profile p = attention_profile();
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 1, 64, 256), 1e-6);
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 2, 64, 256), 1.5e-6);
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 3, 256, 256), 8e-6);
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 1, 160, 256), 2.5e-6);
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 1, 64, 16), 1e-7);
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 1, 64, 1), 1e-7);  // a tile is read whole
    EXPECT_NEAR(piece_seconds(p, "f16", 1, 64, 136), 1e-7 + 0.5 * 0.9e-6 + 0.5 * 0.9e-6 * (144 - 136) / 120.0, 1e-12);
    EXPECT_DOUBLE_EQ(piece_seconds(p, "f16", 6, 64, 256), 4e-6);
    EXPECT_EQ(piece_seconds(p, "f16", 1, 64, 0), 0.0);
    EXPECT_EQ(piece_seconds(p, "bf16", 1, 64, 256), 0.0);
}

TEST(CpuAttentionPrice, DecodePricesEachPieceOfEachKvHead) {
    const Profile p = attention_profile();
    model::AttentionOptions options{.layer = 0, .n_heads = 6, .n_kv_heads = 2, .head_dim = 64};
    // 3 queries a KV head, 512 positions: two whole pieces.
    EXPECT_DOUBLE_EQ(price_attention(options, decode_step(1, 512), p, "f16", "f16").compute_seconds, 2 * 2 * 2e-6);
    EXPECT_DOUBLE_EQ(price_attention(options, decode_step(5, 512), p, "f16", "f16").compute_seconds, 5 * 2 * 2 * 2e-6);
    // A window of 256 that ends with a piece sees that piece alone.
    options.window = 256;
    EXPECT_DOUBLE_EQ(price_attention(options, decode_step(1, 512), p, "f16", "f16").compute_seconds, 2 * 2e-6);
    EXPECT_FALSE(price_attention(options, decode_step(1, 512), p, "f32", "f32").complete);
}

TEST(CpuAttentionPrice, KeysAndValuesOfTwoTypesAreHalfOfEach) {
    Profile p = attention_profile();
    const model::AttentionOptions options{.layer = 0, .n_heads = 6, .n_kv_heads = 2, .head_dim = 64};
    EXPECT_FALSE(price_attention(options, decode_step(1, 512), p, "f16", "q4").complete);
    for (auto reading : attention_profile().attention) {
        reading.kv_type = "q4";
        reading.seconds *= 3;
        p.attention.push_back(reading);
    }
    const AttentionPrice price = price_attention(options, decode_step(1, 512), p, "f16", "q4");
    EXPECT_TRUE(price.complete);
    EXPECT_DOUBLE_EQ(price.compute_seconds, 2 * 2 * 4e-6);
}

TEST(CpuAttentionPrice, UnfusedAttentionPricesItsThreeParts) {
    Profile p = attention_profile();
    const model::AttentionOptions options{.layer = 0, .n_heads = 6, .n_kv_heads = 2, .head_dim = 128};
    EXPECT_FALSE(price_scores(options, decode_step(1, 512), p, "f16").complete);
    EXPECT_FALSE(price_softmax(options, decode_step(1, 512), p).complete);
    EXPECT_FALSE(price_values(options, decode_step(1, 512), p, "f16").complete);
    for (const auto& [kind, seconds] : {std::pair{"scores_f16", 1e-6}, std::pair{"values_f16", 3e-6}}) {
        p.attention.push_back({.kv_type = kind, .n_queries = 3, .head_dim = 64, .n_positions = 256, .seconds = seconds});
    }
    p.rows.push_back({.kind = "softmax", .seconds_per_row = 1e-6, .seconds_per_element = 1e-9});
    // 3 queries a KV head, of 2 times the readings' elements, and two pieces.
    EXPECT_DOUBLE_EQ(price_scores(options, decode_step(1, 512), p, "f16").compute_seconds, 2 * 2 * 2 * 1e-6);
    EXPECT_DOUBLE_EQ(price_values(options, decode_step(3, 512), p, "f16").compute_seconds, 3 * 2 * 2 * 2 * 3e-6);
    EXPECT_DOUBLE_EQ(price_softmax(options, decode_step(1, 512), p).compute_seconds, 6 * (1e-6 + 512e-9));
    p.key.n_threads = 4;  // of 6 rows, one has 2; a KV head's values are in 4 parts, of its scores one has 1 piece
    EXPECT_DOUBLE_EQ(price_softmax(options, decode_step(1, 512), p).compute_seconds, 2 * (1e-6 + 512e-9));
    EXPECT_DOUBLE_EQ(price_values(options, decode_step(1, 512), p, "f16").compute_seconds, 2 * 2 * 2 * 3e-6 / 4);
    EXPECT_DOUBLE_EQ(price_scores(options, decode_step(1, 512), p, "f16").compute_seconds, 2 * 1e-6);
}

TEST(CpuAttentionPrice, HugeStepsAreFiniteAndQuick) {
    const Profile p = attention_profile();
    const model::AttentionOptions options{.layer = 0, .n_heads = 6, .n_kv_heads = 2, .head_dim = 64};
    const double seconds = price_attention(options, prefill_step(1e6, 1e9), p, "f16", "f16").compute_seconds;
    EXPECT_TRUE(std::isfinite(seconds));
    EXPECT_GT(seconds, 0.0);
}

}  // namespace
}  // namespace rafter::backend::cpu
