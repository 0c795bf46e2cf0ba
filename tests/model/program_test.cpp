// The program builder, its rewrites and the workspace plan, on configs made by hand.
#include "model/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/rewrites.h"
#include "model/workspace.h"

namespace rafter::model {
namespace {

ModelConfig small_config() {
    ModelConfig c;
    c.architecture = "llama";
    c.n_layers = 3;
    c.d_model = 64;
    c.d_ff = 96;
    c.n_heads = 4;
    c.n_kv_heads = 2;
    c.head_dim = 16;
    c.n_vocab = 100;
    c.n_context = 128;
    c.attention_scale = 0.25F;
    c.layers.assign(3, LayerConfig{});
    c.rope_tables.push_back({.inverse_frequency = std::vector<float>(8, 1.0F)});
    return c;
}

ModelConfig expert_config() {
    ModelConfig c = small_config();
    c.moe = {.n_experts = 4, .n_experts_used = 2, .d_ff_expert = 32};
    for (LayerConfig& layer : c.layers) layer.moe = true;
    c.tensors.expert_bias = true;
    return c;
}

Program bound(Program program, tensor::DType dtype) {
    for (Weight& w : program.weights) {
        if (w.kind == WeightKind::kMatrix || w.kind == WeightKind::kExperts) w.dtype = dtype;
    }
    return program;
}

std::size_t count(const Program& program, OpKind kind) {
    return static_cast<std::size_t>(std::ranges::count(program.ops, kind, &Op::kind));
}

// Every op reads only what an earlier op made, and nothing is made twice.
void expect_in_order(const Program& program) {
    std::set<ValueId> made;
    for (const Op& op : program.ops) {
        for (const ValueId v : op.inputs) EXPECT_TRUE(made.contains(v)) << op.name << " reads value " << v << " before it is made";
        std::set<ValueId> inside = made;
        for (const Op& part : op.parts) {
            for (const ValueId v : part.inputs) EXPECT_TRUE(inside.contains(v)) << part.name;
            inside.insert(part.outputs.begin(), part.outputs.end());
        }
        for (const ValueId v : op.outputs) EXPECT_TRUE(made.insert(v).second) << op.name << " makes value " << v << " again";
    }
    EXPECT_TRUE(made.contains(program.hidden));
    EXPECT_TRUE(made.contains(program.logits));
}

TEST(Program, OfADenseModelHasTheOpsOfThePaperAndNoMore) {
    const Program p = build(small_config());
    expect_in_order(p);
    EXPECT_EQ(count(p, OpKind::kLinear), 3U * 7 + 1);
    EXPECT_EQ(count(p, OpKind::kRmsNorm), 3U * 2 + 1);
    EXPECT_EQ(count(p, OpKind::kAttention), 3U);
    EXPECT_EQ(count(p, OpKind::kRope), 6U);
    EXPECT_EQ(count(p, OpKind::kAdd), 6U);
    EXPECT_EQ(count(p, OpKind::kAddBias), 0U);
    EXPECT_EQ(p.values[p.logits].width, 100U);
    EXPECT_EQ(p.values[p.logits].rows, RowKind::kOutputs);
}

TEST(Program, OfFusedTensorsTakesItsWeightsFromTheirRows) {
    ModelConfig c = small_config();
    c.tensors.fused_qkv = true;
    c.tensors.fused_gate_up = true;
    const Program p = build(c);
    std::vector<Weight> qkv;
    std::ranges::copy_if(p.weights, std::back_inserter(qkv), [](const Weight& w) { return w.tensor == "blk.1.attn_qkv.weight"; });
    ASSERT_EQ(qkv.size(), 3U);
    EXPECT_EQ(qkv[0].first_row, 0U);
    EXPECT_EQ(qkv[1].first_row, 64U);
    EXPECT_EQ(qkv[2].first_row, 96U);
    for (const Weight& w : qkv) EXPECT_EQ(w.n_source_rows, 128U);
}

TEST(Program, GroupsLayersOfOneWindow) {
    ModelConfig c = small_config();
    c.layers[0].window = c.layers[2].window = 8;
    const Program p = build(c);
    ASSERT_EQ(p.cache_groups.size(), 2U);
    EXPECT_EQ(p.cache_groups[0].window, 8U);
    EXPECT_EQ(p.cache_groups[0].layers, (std::vector<std::uint32_t>{0, 2}));
    EXPECT_EQ(p.cache_groups[1].layers, (std::vector<std::uint32_t>{1}));
}

TEST(Rewrites, QuantizeEachInputOnceAndLeaveFloatMatricesAlone) {
    const Program plain = build(small_config());
    const Program floats = quantize_activations(bound(plain, tensor::DType::kF16), ActivationMode::kQ8);
    EXPECT_EQ(count(floats, OpKind::kQuantize), 0U);
    const Program quantized = quantize_activations(bound(plain, tensor::DType::kQ4_0), ActivationMode::kQ8);
    expect_in_order(quantized);
    EXPECT_EQ(count(quantized, OpKind::kQuantize), 3U * 4 + 1);  // QKV's, output's, gate and up's, down's; the head's
    for (const Op& op : quantized.ops) {
        if (op.kind != OpKind::kQuantize) continue;
        const Value& blocks = quantized.values[op.outputs.front()];
        EXPECT_EQ(blocks.encoding, blocks.rows == RowKind::kHidden ? Encoding::kQ16 : Encoding::kQ8) << op.name;
    }
    EXPECT_EQ(count(quantize_activations(bound(plain, tensor::DType::kQ4_0), ActivationMode::kF32), OpKind::kQuantize), 0U);
}

TEST(Rewrites, FuseNeighbouringLinearsWithOneInput) {
    const Program p = fuse_linears(quantize_activations(bound(build(small_config()), tensor::DType::kQ4_0), ActivationMode::kQ8));
    expect_in_order(p);
    EXPECT_EQ(count(p, OpKind::kLinear), 3U * 4 + 1);
    const auto qkv = std::ranges::find(p.ops, "blk.1.attn_q+attn_k+attn_v", &Op::name);
    ASSERT_NE(qkv, p.ops.end());
    EXPECT_EQ(qkv->weights.size(), 3U);
    EXPECT_EQ(qkv->outputs.size(), 3U);
    EXPECT_EQ(qkv->parts.size(), 3U);
}

TEST(Rewrites, FuseRowOpsIntoTenDispatchesALayer) {
    const Program p = rewrite(bound(build(small_config()), tensor::DType::kQ4_0), {});
    expect_in_order(p);
    EXPECT_EQ(p.ops.size(), 3U * 10 + 3);
    for (std::size_t i = 1; i < p.ops.size(); ++i) {
        EXPECT_FALSE(p.ops[i].kind == OpKind::kFusedRows && p.ops[i - 1].kind == OpKind::kFusedRows &&
                     p.values[p.ops[i].outputs.front()].rows == p.values[p.ops[i - 1].outputs.front()].rows)
            << p.ops[i].name;
    }
}

TEST(Rewrites, KeepEveryConstituent) {
    const Program plain = quantize_activations(bound(build(expert_config()), tensor::DType::kQ4_0), ActivationMode::kQ8);
    const Program fused = fuse_rows(fuse_linears(plain));
    expect_in_order(fused);
    std::vector<std::string> expected, found;
    for (const Op& op : plain.ops) expected.push_back(op.name);
    for (const Op& op : fused.ops) {
        if (op.parts.empty()) found.push_back(op.name);
        for (const Op& part : op.parts) found.push_back(part.name);
    }
    EXPECT_EQ(found, expected);
}

TEST(Rewrites, CanBeLeftOutOneByOne) {
    const Program bound_program = bound(build(small_config()), tensor::DType::kQ4_0);
    EXPECT_EQ(count(rewrite(bound_program, {.without = {"rows"}}), OpKind::kFusedRows), 0U);
    EXPECT_EQ(count(rewrite(bound_program, {.without = {"linears"}}), OpKind::kLinear), 3U * 7 + 1);
    EXPECT_EQ(count(rewrite(bound_program, {.without = {"qkv"}}), OpKind::kLinear), 3U * 6 + 1);
    EXPECT_EQ(count(rewrite(bound_program, {.without = {"gate_up"}}), OpKind::kLinear), 3U * 5 + 1);
    EXPECT_EQ(count(rewrite(bound_program, {.without = {"qkv", "gate_up"}}), OpKind::kLinear), 3U * 7 + 1);
    // A kind left out begins a run and is never inside one; everything else is fused as before.
    const std::pair<const char*, OpKind> kinds[] = {
        {"norm", OpKind::kRmsNorm}, {"rope", OpKind::kRope}, {"kv_append", OpKind::kKvAppend}, {"quantize", OpKind::kQuantize}};
    const std::size_t n_fused = rewrite(bound_program, {}).ops.size();
    for (const auto& [name, kind] : kinds) {
        const Program p = rewrite(bound_program, {.without = {name}});
        expect_in_order(p);
        EXPECT_GT(p.ops.size(), n_fused) << name;
        EXPECT_GT(count(p, OpKind::kFusedRows), 0U) << name;
        for (const Op& op : p.ops) {
            for (std::size_t i = 1; i < op.parts.size(); ++i) EXPECT_NE(op.parts[i].kind, kind) << op.name << " without " << name;
        }
    }
}

TEST(Workspace, GivesNoTwoLiveValuesTheSameBytes) {
    for (const ModelConfig& config : {small_config(), expert_config()}) {
        for (const bool fused : {false, true}) {
            Program p = bound(build(config), tensor::DType::kQ4_K);
            p = quantize_activations(std::move(p), ActivationMode::kQ16);
            if (fused) p = fuse_rows(fuse_linears(std::move(p)));
            const RowLimits limits{.n_tokens = 5, .n_outputs = 2};
            const WorkspacePlan plan = plan_workspace(p, limits);
            // Walk the list as an executor would, remembering who wrote each byte last: a value must still own its bytes when it is read.
            std::vector<ValueId> owner(plan.size_bytes, ~0U);
            const auto bytes_of = [&](ValueId v) { return row_bytes(p.values[v]) * n_rows(p, p.values[v].rows, limits); };
            const auto expect_owned = [&](ValueId v, const std::string& op) {
                const auto first = owner.begin() + static_cast<std::ptrdiff_t>(plan.offset_bytes[v]);
                EXPECT_TRUE(std::all_of(first, first + static_cast<std::ptrdiff_t>(bytes_of(v)), [v](ValueId o) { return o == v; }))
                    << op << " reads value " << v << " after its bytes went to another";
            };
            const auto step = [&](const Op& op) {
                for (const ValueId v : op.inputs) expect_owned(v, op.name);
                for (const ValueId v : op.outputs) {
                    EXPECT_EQ(plan.offset_bytes[v] % 64, 0U);
                    std::fill_n(owner.begin() + static_cast<std::ptrdiff_t>(plan.offset_bytes[v]), bytes_of(v), v);
                }
                for (const ValueId v : op.inputs) expect_owned(v, op.name);  // the output overwrote no input
            };
            for (const Op& op : p.ops) {
                if (op.kind == OpKind::kFusedRows) {
                    for (const Op& part : op.parts) step(part);
                } else {
                    step(op);
                }
            }
            expect_owned(p.hidden, "the caller");
            expect_owned(p.logits, "the caller");
        }
    }
}

TEST(Workspace, HoldsUnfusedAttentionsScoresOnceAndByPositions) {
    const Program p = rewrite(bound(build(small_config()), tensor::DType::kQ4_K), {.without = {"attention"}});
    const auto plan_of = [&](std::size_t n_positions) {
        return plan_workspace(p, {.n_tokens = 5, .n_outputs = 2, .n_positions = n_positions});
    };
    EXPECT_TRUE(has_scores(p));
    EXPECT_FALSE(has_scores(build(small_config())));
    const std::size_t piece_bytes = std::size_t{5} * p.config.n_heads * kScorePadding * sizeof(float);
    EXPECT_EQ(plan_of(512).size_bytes - plan_of(256).size_bytes, piece_bytes);
    EXPECT_EQ(plan_of(257).size_bytes, plan_of(512).size_bytes);
    const WorkspacePlan plan = plan_of(300);
    for (const Op& op : p.ops) {
        if (op.kind == OpKind::kSoftmax) EXPECT_EQ(plan.offset_bytes[op.inputs[0]], plan.offset_bytes[op.outputs[0]]) << op.name;
        // The scores overwrite no query, and the sums no probability.
        if (op.kind != OpKind::kAttentionScores && op.kind != OpKind::kAttentionValues) continue;
        const bool scores_out = op.kind == OpKind::kAttentionScores;
        const ValueId scores = scores_out ? op.outputs[0] : op.inputs[0];
        const ValueId other = scores_out ? op.inputs[0] : op.outputs[0];
        const std::size_t begin = plan.offset_bytes[scores];
        const std::size_t end = begin + 2 * piece_bytes;
        EXPECT_TRUE(plan.offset_bytes[other] >= end || plan.offset_bytes[other] + 5 * row_bytes(p.values[other]) <= begin) << op.name;
    }
}

TEST(Workspace, ReusesBytesFromLayerToLayer) {
    ModelConfig c = small_config();
    const RowLimits limits{.n_tokens = 5, .n_outputs = 2};
    const std::size_t three = plan_workspace(build(c), limits).size_bytes;
    c.n_layers = 12;
    c.layers.assign(12, LayerConfig{});
    EXPECT_EQ(plan_workspace(build(c), limits).size_bytes, three);
}

TEST(Workspace, RowsAreWholeCacheLines) {
    EXPECT_EQ(row_bytes(Encoding::kF32, 33), 192U);
    EXPECT_EQ(row_bytes(Encoding::kQ8, 96), 3 * 64U);
    EXPECT_EQ(row_bytes(Encoding::kQ16, 96), 320U);  // 3 * 96 bytes
}

TEST(ObservedMoments, AreOfTheInputsThatAreNamedAndTheListEndsThere) {
    for (const bool experts : {false, true}) {
        const Program whole = observe_inputs(build(experts ? expert_config() : small_config()));
        const std::string down = experts ? "blk.1.ffn_down_exps.weight" : "blk.1.ffn_down.weight";
        const Program p = observe_moments(whole, std::vector<ObservedMoments>{{.tensor = "blk.0.attn_k.weight", .first = 0, .n = 1},
                                                                              {.tensor = down, .first = experts ? 2U : 0U, .n = 1}});
        expect_in_order(p);
        EXPECT_EQ(count(p, OpKind::kObserve), 2U);
        EXPECT_LT(p.ops.size(), whole.ops.size());
        EXPECT_EQ(p.weights.size(), whole.weights.size());  // so that models share them
        const Op& last = p.ops.back();
        ASSERT_EQ(last.kind, OpKind::kObserve);
        const auto& options = std::get<ObserveOptions>(last.options);
        EXPECT_EQ(options.tensors, std::vector<std::string>{down});
        EXPECT_EQ(options.first_moments, experts ? 2U : 0U);
        EXPECT_EQ(options.n_moments, 1U);
        const auto first = std::ranges::find(p.ops, OpKind::kObserve, &Op::kind);
        EXPECT_EQ(std::get<ObserveOptions>(first->options).tensors.size(), 3U);  // Q, K and V have one input
    }
}

TEST(ObserveInputs, KnowsWhichInputsBecomeValues) {
    for (const Op& op : observe_inputs(build(small_config())).ops) {
        if (op.kind != OpKind::kObserve) continue;
        const auto& options = std::get<ObserveOptions>(op.options);
        const bool of_values = std::ranges::any_of(options.tensors, [](const auto& name) { return name.ends_with("attn_v.weight"); });
        EXPECT_EQ(options.makes_values, of_values) << options.tensors.front();
    }
}

}  // namespace
}  // namespace rafter::model
