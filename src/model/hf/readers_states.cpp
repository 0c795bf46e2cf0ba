// Families whose layers keep a state of constant size, alone or among layers of attention.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/hf/decoder.h"
#include "model/hf/readers.h"
#include "model/hf/states.h"

namespace rafter::model::hf {
namespace {

// "float32" where the file says in which type the state is kept; else as the cache.
std::uint32_t state_bits(Keys& k) {
    for (const char* name : {"mamba_ssm_dtype", "mamba_ssm_cache_dtype", "ssm_cache_dtype"}) {
        const std::string type = k.word(name);
        if (type == "float32") return 32;
        if (type == "bfloat16" || type == "float16") return 16;
    }
    return 0;
}

// Mamba-2 as Bamba, Granite and Falcon-H1 name its keys.
Mamba2Dims mamba2_dims(Reading& r) {
    Keys& k = r.keys;
    const ModelConfig& c = r.m.config;
    const std::uint32_t inner = std::max(1U, k.uint({"mamba_expand"}, 2)) * c.d_model;
    const std::uint32_t n_heads = std::max(1U, k.uint({"mamba_n_heads"}, 128));
    return {.d_model = c.d_model,
            .n_heads = n_heads,
            .head_dim = k.uint({"mamba_d_head"}, inner / n_heads),
            .n_groups = k.uint({"mamba_n_groups"}, 1),
            .d_state = k.uint({"mamba_d_state"}, 128),
            .conv_kernel = k.uint({"mamba_d_conv"}, 4),
            .conv_bias = k.flag("mamba_conv_bias", true),
            .bias = k.flag("mamba_proj_bias")};
}

void use(Reading& r, StateShape state) {
    state.state_bits = state_bits(r.keys);
    r.linear = std::move(state);
}

}  // namespace

void read_gated_delta(Reading& r) {
    Keys& k = r.keys;
    const ModelConfig& c = r.m.config;
    const DeltaNetDims d{.d_model = c.d_model,
                         .n_key_heads = k.uint({"linear_num_key_heads"}, 16),
                         .n_value_heads = k.uint({"linear_num_value_heads"}, 32),
                         .key_dim = k.uint({"linear_key_head_dim"}, 128),
                         .value_dim = k.uint({"linear_value_head_dim"}, 128),
                         .conv_kernel = k.uint({"linear_conv_kernel_dim"}, 4)};
    use(r, gated_delta_net(d));
    read_qwen_moe(r);
    const std::uint32_t every = std::max(1U, k.uint({"full_attention_interval"}, 4));
    if (k.has("layer_types")) return;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) r.kinds[i] = (i + 1) % every == 0 ? "full_attention" : "linear_attention";
}

void read_kimi_linear(Reading& r) {
    Keys& k = r.keys;
    const ModelConfig& c = r.m.config;
    KimiDeltaDims d{.d_model = c.d_model,
                    .n_heads = k.uint({"linear_num_heads"}, c.n_heads),
                    .head_dim = k.uint({"linear_head_dim"}, 128),
                    .conv_kernel = k.uint({"linear_conv_kernel_dim", "short_conv_kernel_size"}, 4)};
    std::vector<std::uint32_t> full;
    if (const auto linear = k.object("linear_attn_config")) {
        const auto number = [&](const char* name, std::uint32_t fallback) {
            const auto found = linear->find_uint(name, 1, 1U << 20);
            return found && *found ? **found : fallback;
        };
        d.n_heads = number("num_heads", d.n_heads);
        d.head_dim = number("head_dim", d.head_dim);
        d.conv_kernel = number("short_conv_kernel_size", d.conv_kernel);
        const nlohmann::json* listed = linear->find("full_attn_layers");
        if (listed != nullptr && listed->is_array()) {
            for (const nlohmann::json& i : *listed) {
                if (i.is_number_unsigned()) full.push_back(i.get<std::uint32_t>());  // from 1
                if (!i.is_number_unsigned() || i == 0 || i > c.n_layers) {
                    k.fail(bad_input("{}: full_attn_layers: expected layers from 1 to {}, found {}", k.reader().where(), c.n_layers,
                                     shown_json(i)));
                }
            }
        }
        (void)linear->find("kda_layers");
    }
    use(r, kimi_delta_attention(d));
    r.linear->state_bits = 32;
    if (k.has("layer_types")) return;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const bool attends = full.empty() ? i > 0 && i % 4 == 0 : std::ranges::find(full, i + 1) != full.end();
        r.kinds[i] = attends ? "full_attention" : "linear_attention";
    }
}

// One part a layer: M Mamba-2, * attention, - feed-forward, E experts.
void read_nemotron_h(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    StateShape state = mamba2({.d_model = c.d_model,
                               .n_heads = k.uint({"mamba_num_heads"}, 128),
                               .head_dim = k.uint({"mamba_head_dim"}, 64),
                               .n_groups = k.uint({"n_groups", "mamba_n_groups"}, 8),
                               .d_state = k.uint({"ssm_state_size"}, 128),
                               .conv_kernel = k.uint({"conv_kernel"}, 4),
                               .conv_bias = k.flag("use_conv_bias", true),
                               .bias = k.flag("mamba_proj_bias")});
    (void)k.uint({"expand"});
    use(r, std::move(state));
    if (r.experts) r.experts->d_latent = k.uint({"moe_latent_size"});
    std::string pattern = k.word("hybrid_override_pattern");
    if (pattern.empty()) {
        for (const std::string& kind : k.words("layers_block_type")) {
            pattern += is_state(kind) ? 'M' : kind == "moe" ? 'E' : kind == "mlp" ? '-' : '*';
        }
    }
    if (pattern.size() != c.n_layers) {
        k.fail(bad_input("{}: hybrid_override_pattern: expected {} letters, one a layer, found {}", k.reader().where(), c.n_layers,
                         pattern.size()));
        return;
    }
    bool unknown = false;
    for (const char letter : pattern) {
        LayerShape s{.norms = NormPlaces::kBefore};
        if (letter == 'M') s.state = r.linear;
        if (letter == '*') s.attention = r.attention;
        if (letter == '-') s.dense = r.dense;
        if (letter == 'E') s.experts = r.experts;
        unknown = unknown || !(s.state || s.attention || s.dense || s.experts);
        r.m.shapes.push_back(std::move(s));
    }
    if (unknown) r.m.assumed.emplace_back("hybrid_override_pattern has unknown letters: those layers are left out");
}

void read_granite_hybrid(Reading& r) {
    use(r, mamba2(mamba2_dims(r)));
    const auto blocks = r.keys.words_per_layer("layers_block_type", r.m.config.n_layers);
    const bool listed = !blocks.empty();
    if (!r.keys.has("layer_types")) r.kinds = listed ? blocks : std::vector<std::string>(r.m.config.n_layers, "mamba");
    const std::uint32_t shared = r.keys.uint({"shared_intermediate_size"}, 1024);
    if (!r.experts) r.dense.d_ff = r.m.config.d_ff = shared;
}

void read_bamba(Reading& r) {
    use(r, mamba2(mamba2_dims(r)));
    const auto attention = r.keys.layer_numbers("attn_layer_indices", r.m.config.n_layers);
    for (std::uint32_t i = 0; i < r.m.config.n_layers; ++i) {
        r.kinds[i] = std::ranges::find(attention, i) != attention.end() ? "attention" : "mamba";
    }
}

// Every layer has both: attention and a state read the same input.
void read_falcon_h1(Reading& r) {
    Mamba2Dims d = mamba2_dims(r);
    const std::uint32_t inner = r.keys.uint({"mamba_d_ssm"}, d.n_heads * d.head_dim);
    d.head_dim = std::max(1U, inner / d.n_heads);
    d.norm = r.keys.flag("mamba_rms_norm");
    use(r, mamba2(d));
    for (std::uint32_t i = 0; i < r.m.config.n_layers; ++i) {
        LayerShape s = layer_of_kind(r, "full_attention", false);
        s.state = r.linear;
        r.m.shapes.push_back(std::move(s));
    }
}

void read_jamba(Reading& r) {
    Keys& k = r.keys;
    const ModelConfig& c = r.m.config;
    const std::uint32_t rank = k.uint({"mamba_dt_rank"}, (c.d_model + 15) / 16);
    use(r, mamba1({.d_model = c.d_model,
                   .d_inner = std::max(1U, k.uint({"mamba_expand"}, 2)) * c.d_model,
                   .d_state = k.uint({"mamba_d_state"}, 16),
                   .dt_rank = rank,
                   .conv_kernel = k.uint({"mamba_d_conv"}, 4),
                   .conv_bias = k.flag("mamba_conv_bias", true),
                   .bias = k.flag("mamba_proj_bias"),
                   .inner_norms = true}));
    const std::uint32_t period = std::max(1U, k.uint({"attn_layer_period"}, 8));
    const std::uint32_t offset = k.uint({"attn_layer_offset"}, 4);
    for (std::uint32_t i = 0; i < c.n_layers; ++i) r.kinds[i] = i % period == offset ? "attention" : "mamba";
}

void read_mamba(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    const std::uint32_t inner = k.uint({"intermediate_size"}, std::max(1U, k.uint({"expand"}, 2)) * c.d_model);
    use(r, mamba1({.d_model = c.d_model,
                   .d_inner = inner,
                   .d_state = k.uint({"state_size"}, 16),
                   .dt_rank = k.uint({"time_step_rank"}, (c.d_model + 15) / 16),
                   .conv_kernel = k.uint({"conv_kernel"}, 4),
                   .conv_bias = k.flag("use_conv_bias", true),
                   .bias = k.flag("use_bias")}));
    r.dense.d_ff = c.d_ff = 0;
    c.n_heads = c.n_kv_heads = 0;
    c.head_dim = 0;
    r.kinds.assign(c.n_layers, "mamba");
}

void read_mamba2(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    use(r, mamba2({.d_model = c.d_model,
                   .n_heads = k.uint({"num_heads"}, 128),
                   .head_dim = k.uint({"head_dim"}, 64),
                   .n_groups = k.uint({"n_groups"}, 8),
                   .d_state = k.uint({"state_size"}, 128),
                   .conv_kernel = k.uint({"conv_kernel"}, 4),
                   .conv_bias = k.flag("use_conv_bias", true),
                   .bias = k.flag("use_bias")}));
    (void)k.uint({"expand", "time_step_rank"});
    r.dense.d_ff = c.d_ff = 0;
    c.n_kv_heads = c.n_heads;
    r.kinds.assign(c.n_layers, "mamba2");
}

// Mamba-2 layers; before some of them, one of a few blocks of attention and feed-forward whose weights are shared, with small matrices of
// its own each time.
void read_zamba2(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    const std::uint32_t n_heads = std::max(1U, k.uint({"n_mamba_heads"}, 8));
    const std::uint32_t inner = std::max(1U, k.uint({"mamba_expand"}, 2)) * c.d_model;
    use(r, mamba2({.d_model = c.d_model,
                   .n_heads = n_heads,
                   .head_dim = k.uint({"mamba_headdim"}, inner / n_heads),
                   .n_groups = k.uint({"mamba_ngroups"}, 1),
                   .d_state = k.uint({"mamba_d_state"}, 64),
                   .conv_kernel = k.uint({"mamba_d_conv"}, 4),
                   .conv_bias = k.flag("use_conv_bias", true),
                   .bias = k.flag("add_bias_linear")}));
    const std::uint32_t n_blocks = std::max(1U, k.uint({"num_mem_blocks"}, 1));
    const std::uint32_t rank = k.uint({"adapter_rank"}, 128);
    const bool adapts_attention = k.flag("use_shared_attention_adapter");
    const auto kinds = k.words("layers_block_type");
    auto hybrid = k.layer_numbers("hybrid_layer_ids", c.n_layers);
    if (hybrid.empty()) {
        for (std::uint32_t i = 0; i < kinds.size(); ++i) {
            if (kinds[i] == "hybrid") hybrid.push_back(i);
        }
    }
    const std::uint32_t width = k.uint({"attention_hidden_size"}, 2 * c.d_model);
    c.head_dim = width / std::max(1U, c.n_heads);
    r.attention.head_dim = c.head_dim;
    r.attention.n_in = width;
    std::uint32_t n_seen = 0;
    std::vector<LayerShape> shapes;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        if (std::ranges::find(hybrid, i) != hybrid.end()) {
            LayerShape block{.norms = NormPlaces::kBefore};
            block.attention = r.attention;
            block.dense = r.dense;
            block.n_vector = double{1} * width - c.d_model;  // its first norm spans both inputs
            block.shared_block = n_seen % n_blocks + 1;
            shapes.push_back(block);
            LayerShape own{.norms = NormPlaces::kNone};
            own.extra = {{"gate_up_proj_adapter.0", rank, c.d_model},
                         {"gate_up_proj_adapter.1", 2 * c.d_ff, rank},
                         {"linear", c.d_model, c.d_model}};
            for (int part = 0; adapts_attention && part < 3; ++part) {
                own.extra.push_back({fmt::format("attention_adapter.{}.0", part), rank, width});
                own.extra.push_back({fmt::format("attention_adapter.{}.1", part), width, rank});
            }
            shapes.push_back(own);
            ++n_seen;
        }
        LayerShape mamba{.norms = NormPlaces::kBefore};
        mamba.state = r.linear;
        shapes.push_back(mamba);
    }
    c.n_layers = static_cast<std::uint32_t>(shapes.size());
    r.m.shapes = std::move(shapes);
    r.m.notes.emplace_back("each use of a shared attention block is counted as a layer; its weights count once");
}

void read_minimax(Reading& r) {
    const ModelConfig& c = r.m.config;
    use(r, lightning_attention({.d_model = c.d_model, .n_heads = c.n_heads, .head_dim = c.head_dim}));
    const auto kinds = r.keys.uints_per_layer("attn_type_list", c.n_layers);  // MiniMax-Text-01's own: 1 attends
    if (r.keys.has("layer_types")) return;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const bool attends = kinds.size() == c.n_layers ? kinds[i] == 1 : i % 2 == 0;
        r.kinds[i] = attends ? "full_attention" : "linear_attention";
    }
}

void read_griffin(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    use(r, rg_lru({.d_model = c.d_model,
                   .width = k.uint({"lru_width"}, c.d_model),
                   .n_heads = c.n_heads,
                   .conv_kernel = k.uint({"conv1d_width"}, 4)}));
    r.linear->state_bits = 32;
    auto blocks = k.words("block_types");
    if (blocks.empty()) blocks = k.words("_block_types");
    if (blocks.empty()) blocks = {"recurrent", "recurrent", "attention"};
    r.dense.d_ff = c.d_ff = c.d_ff / 2;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const std::string& kind = blocks[i % blocks.size()];
        r.kinds[i] = kind == "attention" ? "sliding_attention" : kind;
    }
}

void read_rwkv(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    const std::uint32_t width = k.uint({"attention_hidden_size"}, c.d_model);
    c.n_heads = c.n_kv_heads = 0;
    c.head_dim = 0;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        LayerShape s{.norms = NormPlaces::kBefore, .norm_bias = true};
        s.state = rwkv4({.d_model = c.d_model, .width = width});
        s.dense = DenseShape{.d_ff = c.d_ff, .gated = false};
        s.extra = {{"feed_forward.receptance", c.d_model, c.d_model}};
        s.n_vector = 2.0 * c.d_model;
        r.m.shapes.push_back(std::move(s));
    }
    r.m.outer.n_vector = 2.0 * c.d_model;
}

// Short convolutions among attention; the width of the feed-forward part is adjusted as Llama-1's code did.
void read_lfm2(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    use(r, short_convolution({.d_model = c.d_model, .kernel = k.uint({"conv_L_cache"}, 3), .bias = k.flag("conv_bias")}));
    const auto full = k.layer_numbers("full_attn_idxs", c.n_layers);
    const bool adjusts = k.flag("block_auto_adjust_ff_dim", r.experts ? false : true);
    const double multiplier = k.number("block_ffn_dim_multiplier", 1.0);
    const std::uint32_t unit = std::max(1U, k.uint({"block_multiple_of"}, 256));
    const std::uint32_t own_width = k.uint({"block_ff_dim"}, c.d_ff);
    r.dense.d_ff = c.d_ff = own_width;
    if (adjusts) {
        const double width = std::floor(std::clamp(multiplier, 0.0, 64.0) * std::floor(2.0 * own_width / 3));
        r.dense.d_ff = c.d_ff = static_cast<std::uint32_t>(std::ceil(width / unit) * unit);
    }
    if (k.has("layer_types")) return;
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const bool attends = full.empty() || std::ranges::find(full, i) != full.end();
        r.kinds[i] = attends ? "full_attention" : "conv";
    }
}

}  // namespace rafter::model::hf
