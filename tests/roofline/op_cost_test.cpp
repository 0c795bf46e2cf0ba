// Flops and bytes of ops and steps, against sums done by hand for models of known shape.
#include "roofline/op_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

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

TEST(OpCostBytes, OfADecodeStepAreAllWeightsOnceAndTheCacheWithinTheWindows) {
    const model::StepShape shape{{{.n_new = 1, .n_past = 99, .n_outputs = 1}}};
    const OpCost bytes = step_cost(program_of(0), shape, {.kv = {.key = 2, .value = 4}});
    EXPECT_DOUBLE_EQ(bytes.weight_bytes, kNorms + kAttentionWeights + kHead + kEmbeddingRow + 2 * kQ8 * 3 * 64 * 96);
    EXPECT_DOUBLE_EQ(bytes.kv_read_bytes, 32.0 * (2 + 4) * (100 + 8));
    EXPECT_DOUBLE_EQ(bytes.kv_written_bytes, 32.0 * (2 + 4) * 2);
    EXPECT_DOUBLE_EQ(bytes.read_bytes(), bytes.weight_bytes + bytes.kv_read_bytes);
}

TEST(OpCostBytes, OfABatchCountWeightsOnceAndEachSequencesCache) {
    const model::StepShape one{{{.n_new = 1, .n_past = 3, .n_outputs = 1}}};
    const model::StepShape two{{{.n_new = 1, .n_past = 3, .n_outputs = 1}, {.n_new = 1, .n_past = 3, .n_outputs = 1}}};
    const OpCost a = step_cost(program_of(0), one, {});
    const OpCost b = step_cost(program_of(0), two, {});
    EXPECT_DOUBLE_EQ(b.weight_bytes, a.weight_bytes + kEmbeddingRow);
    EXPECT_DOUBLE_EQ(b.kv_read_bytes, 2 * a.kv_read_bytes);
}

// Windows: one layer sees all, one sees 8 positions, which lie behind the shared prefix.
TEST(OpCostBytes, OfASharedPrefixCountOnce) {
    const model::StepShape apart{{{.n_new = 1, .n_past = 99, .n_outputs = 1}, {.n_new = 1, .n_past = 79, .n_outputs = 1}}};
    model::StepShape shared = apart;
    shared.sequences[1].n_shared = 64;
    const auto kv_bytes = [](const model::StepShape& shape) {
        return step_cost(program_of(0), shape, {.kv = {.key = 2, .value = 2}}).kv_read_bytes;
    };
    EXPECT_DOUBLE_EQ(kv_bytes(apart), 32.0 * 4 * (100 + 80 + 8 + 8));
    EXPECT_DOUBLE_EQ(kv_bytes(shared), 32.0 * 4 * (100 + 16 + 8 + 8));
    shared.sequences[1].n_shared = 79;  // now seven of the window's eight are shared too
    EXPECT_DOUBLE_EQ(kv_bytes(shared), 32.0 * 4 * (100 + 1 + 8 + 1));
}

TEST(OpCostBytes, OfAChunkWithoutOutputsLeaveTheHeadOut) {
    const model::StepShape shape{{{.n_new = 20, .n_past = 0, .n_outputs = 0}}};
    const OpCost bytes = step_cost(program_of(0), shape, {});
    const double last_norm = 4.0 * 64;
    EXPECT_DOUBLE_EQ(bytes.weight_bytes, kNorms - last_norm + kAttentionWeights + 20 * kEmbeddingRow + 2 * kQ8 * 3 * 64 * 96);
    EXPECT_DOUBLE_EQ(bytes.kv_read_bytes, 32.0 * 4 * (20 + 20));  // 20 new tokens see at most all 20 in the window's layer too
}

TEST(OpCostBytes, OfExpertsAreThoseThatAreChosen) {
    const model::StepShape one{{{.n_new = 1, .n_past = 0, .n_outputs = 1}}};
    const double router = 2 * kQ8 * 64 * 16;
    const double expert = kQ8 * 3 * 64 * 32;
    EXPECT_DOUBLE_EQ(step_cost(program_of(16), one, {}).weight_bytes,
                     kNorms + kAttentionWeights + kHead + kEmbeddingRow + router + 2 * 2 * expert);
}

TEST(OpCostBytes, AreTheSameForARewrittenProgram) {
    const model::StepShape shape{{{.n_new = 1, .n_past = 40, .n_outputs = 1}, {.n_new = 5, .n_past = 0, .n_outputs = 0}}};
    for (const std::uint32_t n_experts : {0U, 16U}) {
        const OpCost plain = step_cost(program_of(n_experts), shape, {});
        const OpCost rewritten = step_cost(model::rewrite(program_of(n_experts), {}), shape, {});
        EXPECT_DOUBLE_EQ(rewritten.weight_bytes, plain.weight_bytes);
        EXPECT_DOUBLE_EQ(rewritten.kv_read_bytes, plain.kv_read_bytes);
        EXPECT_DOUBLE_EQ(rewritten.kv_written_bytes, plain.kv_written_bytes);
    }
}

// 2 flops a weight and row: of all matrices for each token, of the head for each output; experts for as many as a token passes.
TEST(OpCostFlops, OfMatricesAreTwoAWeightAndRow) {
    const model::StepShape shape{{{.n_new = 5, .n_past = 3, .n_outputs = 2}}};
    const auto matrix_flops = [&](std::uint32_t n_experts) {
        const model::Program program = program_of(n_experts);
        double flops = 0.0;
        for (const model::Op& op : program.ops) {
            const bool multiplies = op.kind == model::OpKind::kLinear || op.kind == model::OpKind::kExpertLinear;
            if (multiplies) flops += op_cost(program, op, shape, {}).flops;
        }
        return flops;
    };
    const double attention = 2 * 64 * (64 + 32 + 32 + 64);
    EXPECT_DOUBLE_EQ(matrix_flops(0), 2.0 * (5 * (attention + 2 * 3 * 64 * 96) + 2 * 320 * 64));
    EXPECT_DOUBLE_EQ(matrix_flops(16), 2.0 * (5 * (attention + 2 * (64 * 16 + 2 * 3 * 64 * 32)) + 2 * 320 * 64));
}

TEST(OpCostFlops, OfAttentionCountEveryPairThatIsSeen) {
    const model::Program program = program_of(0);
    const model::StepShape shape{{{.n_new = 5, .n_past = 6, .n_outputs = 0}}};
    std::vector<double> flops;
    for (const model::Op& op : program.ops) {
        if (op.kind == model::OpKind::kAttention) flops.push_back(op_cost(program, op, shape, {}).flops);
    }
    EXPECT_DOUBLE_EQ(flops.at(0), 4.0 * 4 * 16 * (7 + 8 + 9 + 10 + 11));
    EXPECT_DOUBLE_EQ(flops.at(1), 4.0 * 4 * 16 * (7 + 8 + 8 + 8 + 8));
}

TEST(AttentionPairs, AreThoseCountedOneByOne) {
    for (const double window : {0.0, 1.0, 4.0, 7.0, 100.0}) {
        for (double n_past = 0; n_past < 12; ++n_past) {
            for (double n_new = 0; n_new < 12; ++n_new) {
                double expected = 0.0;
                for (double t = n_past + 1; t <= n_past + n_new; ++t) expected += window > 0 ? std::min(t, window) : t;
                EXPECT_DOUBLE_EQ(attention_pairs(Step({{3, n_new, n_past, 0}}), window), 3 * expected)
                    << "window " << window << " past " << n_past << " new " << n_new;
            }
        }
    }
    EXPECT_DOUBLE_EQ(attention_pairs(Step({{1e6, 1, 1e9 - 1, 1}}), 0), 1e15);
}

TEST(OpCostActivations, OfAFusedOpAreWhatItsPartsHandOut) {
    const model::StepShape shape{{{.n_new = 3, .n_past = 0, .n_outputs = 1}}};
    const model::Program plain = program_of(0);
    const model::Program fused = model::rewrite(program_of(0), {.activations = model::ActivationMode::kF32});
    EXPECT_LT(step_cost(fused, shape, {}).activation_bytes, step_cost(plain, shape, {}).activation_bytes);
    EXPECT_DOUBLE_EQ(step_cost(fused, shape, {}).flops, step_cost(plain, shape, {}).flops);
    for (const model::Op& op : fused.ops) {
        if (op.name != "blk.0.attn_q+attn_k+attn_v") continue;
        EXPECT_DOUBLE_EQ(op_cost(fused, op, shape, {.activation_bytes = 2}).activation_bytes, 2.0 * 3 * (64 + 64 + 32 + 32));
        return;
    }
    FAIL() << "no fused Q, K, V";
}

// Unfused attention hands over whole rectangles of scores, two ways each time.
TEST(OpCostActivations, OfSplitAttentionAreItsScores) {
    const model::Program split = model::split_attention(program_of(0));
    const model::StepShape shape{{{.n_new = 6, .n_past = 0, .n_outputs = 1}}};
    const CostOptions options{.kv = {.key = 2, .value = 2}, .activation_bytes = 2};
    const double scores = 4 * 6 * 6;
    std::map<std::string, OpCost> costs;
    for (const model::Op& op : split.ops) costs[op.name] = op_cost(split, op, shape, options);
    EXPECT_DOUBLE_EQ(costs.at("blk.0.qk_matmul").flops, scores * 2 * 16);
    EXPECT_DOUBLE_EQ(costs.at("blk.0.qk_matmul").bytes(), 2.0 * scores + 2.0 * 6 * 64 + 2.0 * 6 * 32);
    EXPECT_DOUBLE_EQ(costs.at("blk.0.softmax").bytes(), 2 * 2.0 * scores);
    EXPECT_DOUBLE_EQ(costs.at("blk.0.sv_matmul").bytes(), 2.0 * scores + 2.0 * 6 * 64 + 2.0 * 6 * 32);
}

TEST(OpCost, TakesTheWeightsBitsItIsGiven) {
    const model::StepShape shape{{{.n_new = 1, .n_past = 0, .n_outputs = 1}}};
    const model::Program program = program_of(16);
    const OpCost all4 = step_cost(program, shape, {.weight_bits = 4});
    const OpCost all8 = step_cost(program, shape, {.weight_bits = 8});
    EXPECT_DOUBLE_EQ(2 * all4.weight_bytes, all8.weight_bytes);
    const OpCost mixed = step_cost(program, shape, {.weight_bits = 8, .expert_bits = 4});
    EXPECT_DOUBLE_EQ(all8.weight_bytes - mixed.weight_bytes, 2 * 2 * 3 * 64 * 32 * 0.5);
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
