// Programs with an op that the CPU would compute wrongly, or not at all, are refused by the op's name: one test a kind.
#include "backend/cpu/runnable.h"

#include <gtest/gtest.h>

#include "backend/backends.h"
#include "files/gguf.h"
#include "model/model_file.h"
#include "model/rewrites.h"
#include "tests/support/tiny_model.h"

namespace rafter::backend::cpu {
namespace {

using model::OpKind;

model::ModelConfig tiny_config() {
    const std::vector<std::byte> bytes = model::tiny_gguf({});
    const auto file = files::GgufFile::parse(bytes, "tiny");
    return model::read_config(*file, {}).value();
}

std::string refusal_of(const model::Program& program) {
    const auto runs = check_runnable(program);
    return runs ? "" : runs.error().message;
}

std::string refusal_of(const model::ModelConfig& config) { return refusal_of(model::build(config)); }

TEST(Runnable, EveryTinyModelIsRunWhateverIsFused) {
    for (const std::string& name : model::tiny_models()) {
        const std::vector<std::byte> bytes = model::tiny_gguf({.name = name});
        const auto file = files::GgufFile::parse(bytes, name);
        const auto bound = model::bind(model::build(model::read_config(*file, {}).value()), *file);
        EXPECT_EQ(refusal_of(*bound), "") << name;
        EXPECT_EQ(refusal_of(model::rewrite(*bound, {})), "") << name;
    }
}

TEST(Runnable, ALayerNormIsNoRmsNorm) {
    model::ModelConfig config = tiny_config();
    config.tensors.norm_bias = true;
    EXPECT_EQ(refusal_of(config), "blk.0.attn_norm: layer norm is not an operation that the CPU backend runs");
    // Nor is one among fused ops.
    EXPECT_NE(refusal_of(model::fuse_rows(model::build(config))), "");
}

TEST(Runnable, ATableOfPositionsIsNoTableOfTokens) {
    model::ModelConfig config = tiny_config();
    config.n_positions = 64;
    EXPECT_EQ(refusal_of(config), "position_embd: embed position is not an operation that the CPU backend runs");
}

TEST(Runnable, AnActivationWithoutAGateIsRefused) {
    model::ModelConfig config = tiny_config();
    config.gated_ffn = false;
    EXPECT_EQ(refusal_of(config), "blk.0.ffn_act: activation is not an operation that the CPU backend runs");
}

TEST(Runnable, LatentAttentionIsRefusedAtItsAppendItsMatricesAndItself) {
    model::ModelConfig config = tiny_config();
    config.mla = {.kv_lora_rank = 32, .rope_head_dim = 16, .nope_head_dim = 16, .value_head_dim = 16, .q_lora_rank = 0};
    model::Program program = model::build(config);
    EXPECT_EQ(refusal_of(program), "blk.0.kv_append: latent append is not an operation that the CPU backend runs");
    std::erase_if(program.ops, [](const model::Op& op) { return op.kind == OpKind::kLatentAppend; });
    EXPECT_EQ(refusal_of(program), "blk.0.attn_k_b: linear by head is not an operation that the CPU backend runs");
    std::erase_if(program.ops, [](const model::Op& op) { return op.kind == OpKind::kLinearByHead; });
    EXPECT_EQ(refusal_of(program), "blk.0.attention: latent attention is not an operation that the CPU backend runs");
}

TEST(Runnable, AttentionInThreeOpsIsRunButNotOfLatentsNorOfOtherHeads) {
    model::ModelConfig config = tiny_config();
    model::Program program = model::split_attention(model::build(config));
    EXPECT_EQ(refusal_of(program), "");
    program.config.mla.kv_lora_rank = 32;
    EXPECT_EQ(refusal_of(program), "blk.0.qk_matmul: attention scores of latents is not an operation that the CPU backend runs");
    program.config = config;
    program.config.n_heads *= 2;
    EXPECT_NE(refusal_of(program), "");
}

TEST(Runnable, AnAppendOfOneValueAMatrixOfAnotherWidthAndOtherHeadsAreRefused) {
    const model::Program program = model::build(tiny_config());
    const auto changed = [&](OpKind kind, const auto& change) {
        model::Program other = program;
        for (model::Op& op : other.ops) {
            if (op.kind != kind) continue;
            change(other, op);
            break;
        }
        return refusal_of(other);
    };
    EXPECT_EQ(changed(OpKind::kKvAppend, [](model::Program&, model::Op& op) { op.inputs.pop_back(); }),
              "blk.0.kv_append: kv append of 1 value is not an operation that the CPU backend runs");
    EXPECT_NE(changed(OpKind::kLinear, [](model::Program& p, model::Op& op) { p.weights[op.weights[0]].n_cols *= 2; }), "");
    EXPECT_NE(
        changed(OpKind::kAttention, [](model::Program&, model::Op& op) { std::get<model::AttentionOptions>(op.options).head_dim *= 2; }),
        "");
}

TEST(Runnable, TheBackendSaysSoBeforeItLoads) {
    const std::vector<std::byte> bytes = model::tiny_gguf({});
    const auto file = files::GgufFile::parse(bytes, "tiny");
    model::ModelConfig config = model::read_config(*file, {}).value();
    model::Program program = model::bind(model::build(config), *file).value();
    for (model::Op& op : program.ops) {
        if (op.kind == OpKind::kRmsNorm) op.kind = OpKind::kLayerNorm;
    }
    ThreadPool pool({.n_threads = 1});
    const auto backend = make_backend("cpu", pool, "scalar").value();
    ASSERT_FALSE(backend->can_run(program));
    LoadOptions options;
    options.cache.n_blocks.assign(program.cache_groups.size(), 4);
    const auto loaded = backend->load(program, *file, options);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::kBadInput);
    EXPECT_EQ(loaded.error().message, "tiny: blk.0.attn_norm: layer norm is not an operation that the CPU backend runs");
}

TEST(Backends, AreMadeByNameAndRefuseOthers) {
    ThreadPool pool({.n_threads = 1});
    EXPECT_EQ(make_backend("cpu", pool, "scalar").value()->instruction_set(), "scalar");
    EXPECT_EQ(make_backend("cpu", pool, "").value()->instruction_set(), best_instruction_set());
    EXPECT_EQ(make_backend("tpu", pool, "").error().message, "backend: expected one of cpu, found \"tpu\"");
    const auto unknown = make_backend("cpu", pool, "mmx");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().message, "instruction set: expected one of scalar, avx2, avx512, amx, found \"mmx\"");
}

}  // namespace
}  // namespace rafter::backend::cpu
