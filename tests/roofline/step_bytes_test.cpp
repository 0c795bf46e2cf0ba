// Bytes of a step, against sums done by hand for a model of known shape.
#include "roofline/step_bytes.h"

#include <gtest/gtest.h>

#include "model/rewrites.h"

namespace rafter::roofline {
namespace {

model::ModelConfig config_of(std::uint32_t n_experts) {
    model::ModelConfig config;
    config.architecture = "llama";
    config.n_layers = 2;
    config.d_model = 64;
    config.d_ff = 96;
    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.head_dim = 16;
    config.n_vocab = 320;
    config.n_context = 1024;
    config.tied_embeddings = true;
    config.layers.resize(2);
    config.rope_tables.resize(1);
    config.layers[1].window = 8;
    if (n_experts > 0) {
        config.moe.n_experts = n_experts;
        config.moe.n_experts_used = 2;
        config.moe.d_ff_expert = 32;
        for (auto& layer : config.layers) layer.moe = true;
    }
    return config;
}

// As a file would bind it: matrices in Q8_0 (34 bytes a block of 32), vectors in F32.
model::Program program_of(std::uint32_t n_experts) {
    model::Program program = model::build(config_of(n_experts));
    for (model::Weight& weight : program.weights) {
        const bool is_vector = weight.kind == model::WeightKind::kVector || weight.kind == model::WeightKind::kVectors;
        weight.dtype = is_vector ? tensor::DType::kF32 : tensor::DType::kQ8_0;
    }
    return program;
}

constexpr double kQ8 = 34.0 / 32;
constexpr double kNorms = 4.0 * 64 * (2 * 2 + 1);
constexpr double kAttentionWeights = 2 * kQ8 * 64 * (64 + 32 + 32 + 64);
constexpr double kHead = kQ8 * 320 * 64;
constexpr double kEmbeddingRow = kQ8 * 64;

TEST(StepBytes, OfADecodeStepAreAllWeightsOnceAndTheCacheWithinTheWindows) {
    const model::StepShape shape{{{.n_new = 1, .n_past = 99, .n_outputs = 1}}};
    const StepBytes bytes = step_bytes(program_of(0), shape, {.key = 2, .value = 4});
    EXPECT_DOUBLE_EQ(bytes.weights, kNorms + kAttentionWeights + kHead + kEmbeddingRow + 2 * kQ8 * 3 * 64 * 96);
    EXPECT_DOUBLE_EQ(bytes.kv_read, 32.0 * (2 + 4) * (100 + 8));
    EXPECT_DOUBLE_EQ(bytes.kv_written, 32.0 * (2 + 4) * 2);
    EXPECT_DOUBLE_EQ(bytes.read(), bytes.weights + bytes.kv_read);
}

TEST(StepBytes, OfABatchCountWeightsOnceAndEachSequencesCache) {
    const model::StepShape one{{{.n_new = 1, .n_past = 3, .n_outputs = 1}}};
    const model::StepShape two{{{.n_new = 1, .n_past = 3, .n_outputs = 1}, {.n_new = 1, .n_past = 3, .n_outputs = 1}}};
    const StepBytes a = step_bytes(program_of(0), one, {});
    const StepBytes b = step_bytes(program_of(0), two, {});
    EXPECT_DOUBLE_EQ(b.weights, a.weights + kEmbeddingRow);
    EXPECT_DOUBLE_EQ(b.kv_read, 2 * a.kv_read);
}

TEST(StepBytes, OfAChunkWithoutOutputsLeaveTheHeadOut) {
    const model::StepShape shape{{{.n_new = 20, .n_past = 0, .n_outputs = 0}}};
    const StepBytes bytes = step_bytes(program_of(0), shape, {});
    const double last_norm = 4.0 * 64;
    EXPECT_DOUBLE_EQ(bytes.weights, kNorms - last_norm + kAttentionWeights + 20 * kEmbeddingRow + 2 * kQ8 * 3 * 64 * 96);
    EXPECT_DOUBLE_EQ(bytes.kv_read, 32.0 * 4 * (20 + 20));  // 20 new tokens see at most all 20 in the window's layer too
}

TEST(StepBytes, OfExpertsAreThoseThatAreChosen) {
    const model::StepShape one{{{.n_new = 1, .n_past = 0, .n_outputs = 1}}};
    const double router = 2 * kQ8 * 64 * 16;
    const double expert = kQ8 * 3 * 64 * 32;
    EXPECT_DOUBLE_EQ(step_bytes(program_of(16), one, {}).weights,
                     kNorms + kAttentionWeights + kHead + kEmbeddingRow + router + 2 * 2 * expert);
}

TEST(StepBytes, AreTheSameForARewrittenProgram) {
    const model::StepShape shape{{{.n_new = 1, .n_past = 40, .n_outputs = 1}, {.n_new = 5, .n_past = 0, .n_outputs = 0}}};
    for (const std::uint32_t n_experts : {0U, 16U}) {
        const StepBytes plain = step_bytes(program_of(n_experts), shape, {});
        const StepBytes rewritten = step_bytes(model::rewrite(program_of(n_experts), {}), shape, {});
        EXPECT_DOUBLE_EQ(rewritten.weights, plain.weights);
        EXPECT_DOUBLE_EQ(rewritten.kv_read, plain.kv_read);
        EXPECT_DOUBLE_EQ(rewritten.kv_written, plain.kv_written);
    }
}

TEST(ExpectedExperts, GrowWithTheTokensUpToAll) {
    EXPECT_DOUBLE_EQ(expected_experts(64, 8, 0), 0.0);
    EXPECT_DOUBLE_EQ(expected_experts(64, 8, 1), 8.0);
    EXPECT_DOUBLE_EQ(expected_experts(64, 8, 2), 15.0);  // 8 + 8 * 56/64
    EXPECT_NEAR(expected_experts(64, 8, 1000), 64.0, 1e-9);
    EXPECT_DOUBLE_EQ(expected_experts(4, 4, 1), 4.0);
}

TEST(KvBytesPerToken, CountEveryLayer) { EXPECT_DOUBLE_EQ(kv_bytes_per_token(config_of(0), {.key = 2, .value = 2}), 2.0 * 2 * 16 * 4); }

}  // namespace
}  // namespace rafter::roofline
