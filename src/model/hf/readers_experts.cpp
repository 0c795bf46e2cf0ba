// Families with experts.
#include <algorithm>

#include "model/hf/decoder.h"
#include "model/hf/readers.h"

namespace rafter::model::hf {

void read_qwen_moe(Reading& r) {
    if (r.experts) r.experts->shared_gate = r.experts->d_ff_shared > 0;
}

void read_gpt_oss(Reading& r) {
    if (r.experts) r.experts->bias = true;
}

void read_llama4(Reading& r) {
    if (r.experts) r.experts->d_ff_shared = r.experts->d_ff;
    const std::uint32_t d_ff = r.keys.uint({"intermediate_size_mlp"});
    if (d_ff > 0) r.dense.d_ff = d_ff;
    (void)r.keys.flag("use_qk_norm");  // without a gain
}

void read_glm_moe(Reading& r) {
    if (r.keys.flag("use_qk_norm")) r.attention.qk_norm = QkNorm::kHead;
}

// Cross-layer attention (https://arxiv.org/abs/2405.12981): of each few layers, the first alone has keys and values.
void read_hunyuan(Reading& r) {
    const std::uint32_t factor = r.keys.uint({"cla_share_factor"}, 1);
    if (!r.keys.flag("use_cla") || factor < 2) return;
    for (std::uint32_t i = 0; i < r.m.config.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, r.kinds[i], r.is_moe[i]);
        if (s.attention) s.attention->shares_cache = i % factor != 0;
        r.m.shapes.push_back(std::move(s));
    }
}

void read_dbrx(Reading& r) {
    ModelConfig& c = r.m.config;
    if (const auto attention = r.keys.object("attn_config")) {
        const auto kv = attention->find_uint("kv_n_heads", 1, c.n_heads);
        if (kv && *kv) r.attention.n_kv_heads = c.n_kv_heads = **kv;
    }
    const auto ffn = r.keys.object("ffn_config");
    if (!ffn) return;
    const auto width = ffn->find_uint("ffn_hidden_size", 1, 1U << 24);
    const auto n = ffn->find_uint("moe_num_experts", 1, 1U << 20);
    const auto used = ffn->find_uint("moe_top_k", 1, 1U << 20);
    if (!width || !n || !used || !*n || !*used || **used > **n) {
        r.keys.fail(bad_input("{}: ffn_config: expected moe_num_experts and moe_top_k", r.keys.reader().where()));
        return;
    }
    c.d_ff = width->value_or(3584);
    r.experts = ExpertsShape{.n_experts = **n, .n_used = **used, .d_ff = c.d_ff};
    std::fill(r.is_moe.begin(), r.is_moe.end(), true);
}

// Queries and outputs are experts too: each token has k of them, with keys and values that all share.
void read_jetmoe(Reading& r) {
    ModelConfig& c = r.m.config;
    const std::uint32_t n_kv = r.keys.uint({"num_key_value_heads"}, 16);
    const std::uint32_t used = r.experts ? r.experts->n_used : 1;
    const std::uint32_t n = r.experts ? r.experts->n_experts : 1;
    const std::uint32_t width = n_kv * c.head_dim;
    c.n_heads = n_kv * used;
    r.attention.n_heads = c.n_heads;
    r.attention.n_kv_heads = c.n_kv_heads = n_kv;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", true);
        // As shapes know no experts of attention, those that a token does not use are counted as parameters that it passes none of.
        s.n_vector = 2.0 * c.d_model + double{1} * n * c.d_model + 2.0 * (n - used) * width * c.d_model;
        r.m.shapes.push_back(std::move(s));
    }
    r.m.assumed.emplace_back(
        "queries and outputs of attention are experts too: active parameters count them all, and a step reads those of one token");
}

// Snowflake Arctic: a dense feed-forward beside the experts.
void read_arctic(Reading& r) {
    const ModelConfig& c = r.m.config;
    const bool beside = r.keys.flag("parallel_attn_mlp_res", true);
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, r.kinds[i], r.is_moe[i]);
        if (s.experts && beside) {
            s.dense = DenseShape{.d_ff = c.d_model};
            s.n_vector = c.d_model;
        }
        r.m.shapes.push_back(std::move(s));
    }
}

// A layer is two of attention and dense feed-forward, the first with experts beside; some experts are of no work.
void read_longcat(Reading& r) {
    ModelConfig& c = r.m.config;
    const std::uint32_t n_idle = r.keys.uint({"zero_expert_num"});
    const std::uint32_t d_expert = r.keys.uint({"expert_ffn_hidden_size"}, 2048);
    if (!r.experts || c.n_layers > kMaxShapedLayers / 2) return;
    r.experts->d_ff = d_expert;
    for (std::uint32_t i = 0; i < 2 * c.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        if (i % 2 == 0) {
            s.experts = r.experts;
            s.n_vector = double{1} * n_idle * c.d_model;
        }
        r.m.shapes.push_back(std::move(s));
    }
    c.n_layers *= 2;
    r.m.notes.emplace_back("each layer is counted as two attention layers; experts that compute nothing are priced as the others");
}

// Sliding layers have twice the key heads, sinks, and all heads' values are narrower than their keys.
void read_mimo(Reading& r) {
    const ModelConfig& c = r.m.config;
    const std::uint32_t value = r.keys.uint({"v_head_dim"}, c.head_dim);
    const std::uint32_t sliding_kv = r.keys.uint({"swa_num_key_value_heads"}, 2 * c.n_kv_heads);
    const std::uint32_t sliding_heads = r.keys.uint({"swa_num_attention_heads"}, c.n_heads);
    const std::uint32_t sliding_dim = r.keys.uint({"swa_head_dim"}, c.head_dim);
    const std::uint32_t sliding_value = r.keys.uint({"swa_v_head_dim"}, value);
    const auto sliding = r.keys.uints_per_layer("hybrid_layer_pattern", c.n_layers);
    const bool listed = r.keys.has("layer_types");
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const bool full = sliding.size() == c.n_layers ? sliding[i] == 0 : i == 0 || (i + 1) % 6 == 0;
        LayerShape s = layer_of_kind(r, listed ? r.kinds[i] : full ? "full_attention" : "sliding_attention", r.is_moe[i]);
        s.attention->value_dim = value;
        if (s.attention->window > 0) {
            s.attention->n_heads = sliding_heads;
            s.attention->n_kv_heads = sliding_kv;
            s.attention->head_dim = sliding_dim;
            s.attention->value_dim = sliding_value;
            s.attention->sinks = true;
        }
        r.m.shapes.push_back(std::move(s));
    }
}

// The router has a learned correction for each expert.
void read_balanced(Reading& r) {
    if (r.experts) r.experts->router_bias = true;
}

}  // namespace rafter::model::hf
