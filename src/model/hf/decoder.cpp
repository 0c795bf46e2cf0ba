// The common way of reading, in the order: widths, attention, feed-forward, kinds of layers, layers.
#include "model/hf/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace rafter::model::hf {
namespace {

template <std::size_t n>
bool is_one_of(const std::string& word, const std::array<const char*, n>& words) {
    return std::ranges::any_of(words, [&](const char* w) { return word == w; });
}

bool is_sliding(const std::string& kind) {
    constexpr std::array kWords{"sliding_attention", "local_attention", "local", "sliding_window", "swa", "sliding"};
    return is_one_of(kind, kWords);
}
bool is_chunked(const std::string& kind) { return kind == "chunked_attention"; }

void read_widths(Reading& r) {
    Keys& k = r.keys;
    ModelConfig& c = r.m.config;
    std::uint32_t listed = 0;
    if (r.family.type == std::string_view("nemotron_h")) {
        listed = static_cast<std::uint32_t>(k.word("hybrid_override_pattern").size());
        if (listed == 0) listed = static_cast<std::uint32_t>(k.words("layers_block_type").size());
    }
    const std::uint32_t given = k.uint({"num_hidden_layers", "n_layer", "num_layers", "n_layers"}, listed);
    c.n_layers = given > 0 ? given : k.need({"num_hidden_layers"});
    c.d_model = k.need({"hidden_size", "n_embd", "d_model", "model_dim"});
    c.n_heads = k.uint({"num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"}, 0);
    const bool one_head = k.flag("multi_query") && !k.has("num_key_value_heads") && !k.has("num_kv_heads");
    const std::uint32_t kv = k.uint({"num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "kv_n_heads"}, 0);
    c.n_kv_heads = one_head ? 1 : kv > 0 ? kv : c.n_heads;
    const std::uint32_t head_dim = k.uint({"head_dim", "attention_head_dim", "kv_channels"}, 0);
    c.head_dim = head_dim > 0 ? head_dim : c.n_heads > 0 ? std::max(1U, c.d_model / c.n_heads) : 0;
    c.d_ff = k.uint({"intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"}, 4 * std::min(c.d_model, 250'000'000U));
    c.n_vocab = k.need({"vocab_size", "padded_vocab_size"});
    c.n_context =
        k.uint({"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "model_max_length", "context_length"}, 0);
    c.tied_embeddings = k.flag("tie_word_embeddings", r.family.traits.tied);
    c.gated_ffn = r.family.traits.gated;
}

void read_attention(Reading& r) {
    Keys& k = r.keys;
    const Traits& t = r.family.traits;
    const ModelConfig& c = r.m.config;
    AttentionShape& a = r.attention;
    a = {.n_heads = c.n_heads, .n_kv_heads = c.n_kv_heads, .head_dim = c.head_dim};
    a.qkv_bias = t.qkv_bias;
    a.output_bias = t.output_bias;
    for (const char* name : {"attention_bias", "qkv_bias", "use_qkv_bias", "add_qkv_bias"}) {
        if (k.has(name)) a.qkv_bias = k.flag(name);
    }
    if (k.has("attention_bias") && t.output_bias_follows) a.output_bias = k.flag("attention_bias");
    if (k.has("attention_out_bias")) a.output_bias = k.flag("attention_out_bias");
    r.dense = {.d_ff = c.d_ff, .gated = t.gated, .bias = k.flag("mlp_bias", t.ffn_bias)};
    if (k.has("use_bias")) a.qkv_bias = a.output_bias = r.dense.bias = k.flag("use_bias");
    if (k.has("bias")) a.qkv_bias = a.output_bias = k.flag("bias");
    a.qk_norm = t.qk_norm;
    a.output_gate = t.output_gate;
    a.no_rope = t.no_rope;
    a.sinks = t.sinks;
    if (const std::uint32_t rank = k.uint({"kv_lora_rank"}); rank > 0 && k.flag("use_mla", true)) {
        const std::uint32_t nope = k.uint({"qk_nope_head_dim"}, 128);
        r.latent = LatentShape{.n_heads = c.n_heads,
                               .kv_lora_rank = rank,
                               .q_lora_rank = k.uint({"q_lora_rank"}),
                               .rope_head_dim = k.uint({"qk_rope_head_dim"}, 64),
                               .nope_head_dim = nope,
                               .value_head_dim = k.uint({"v_head_dim"}, nope),
                               .n_index_heads = k.uint({"index_n_heads"}),
                               .index_head_dim = k.uint({"index_head_dim"}),
                               .n_selected = k.uint({"index_topk"})};
        if (r.latent->n_index_heads == 0 || r.latent->index_head_dim == 0) r.latent->n_index_heads = r.latent->n_selected = 0;
    }
}

void read_experts(Reading& r) {
    Keys& k = r.keys;
    const std::uint32_t n =
        k.uint({"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts", "n_experts"});
    const std::uint32_t used = k.uint({"num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_top_k",
                                       "moe_k", "top_k_experts", "num_selected_experts", "num_experts_per_topk"});
    const std::uint32_t width =
        k.uint({"moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_intermediate_size"});
    const std::uint32_t n_shared = k.uint({"n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"});
    const std::uint32_t shared = k.uint({"shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
                                         "shared_intermediate_size", "share_expert_dim", "moe_shared_expert_ffn_hidden_size"});
    if (n < 2) return;
    const nlohmann::json* own_width = k.find("moe_intermediate_size");
    if (own_width != nullptr && *own_width == 0) {
        k.fail(bad_input("{}: moe_intermediate_size: expected a whole number above 0, found 0", k.reader().where()));
        return;
    }
    if (used == 0 || used > n) {
        k.fail(bad_input("{}: num_experts_per_tok: expected 1 to {}, found {}", k.reader().where(), n, used));
        return;
    }
    ExpertsShape e{.n_experts = n, .n_used = used, .d_ff = width > 0 ? width : r.m.config.d_ff, .gated = r.family.traits.gated};
    e.d_ff_shared = static_cast<std::uint32_t>(std::min(shared > 0 ? double{1} * shared : double{1} * n_shared * e.d_ff, 1e9));
    r.experts = e;
}

// Which layers have experts; the rest is dense.
void choose_expert_layers(Reading& r) {
    Keys& k = r.keys;
    const std::uint32_t n = r.m.config.n_layers;
    r.is_moe.assign(n, false);
    const std::uint32_t first = k.uint({"first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", "n_dense_layers"});
    const std::uint32_t last = k.uint({"moe_layer_end_index"}, n);
    const std::uint32_t step =
        std::max(1U, k.uint({"decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", "moe_layer_frequency"}, 1));
    const nlohmann::json* frequencies = k.find("moe_layer_freq");
    const bool lists_frequency = frequencies != nullptr && frequencies->is_array();
    const auto listed_frequency = lists_frequency ? k.uints_per_layer("moe_layer_freq", n) : std::vector<std::uint32_t>{};
    const std::uint32_t frequency = lists_frequency ? 1 : std::max(1U, k.uint({"moe_layer_freq"}, 1));
    const std::uint32_t period = k.uint({"expert_layer_period"});
    const std::uint32_t offset = k.uint({"expert_layer_offset"});
    const auto kinds = k.words_per_layer("mlp_layer_types", n);
    const auto dense_only = k.uints("mlp_only_layers", n);
    const auto chosen = k.layer_numbers("moe_layers", n);
    constexpr std::array kFeedForwards{"dense", "mlp", "sparse", "moe", "experts"};
    for (const std::string& kind : std::set<std::string>(kinds.begin(), kinds.end())) {
        if (!is_one_of(kind, kFeedForwards)) k.say(fmt::format("mlp_layer_types has the unknown kind \"{}\": planned as experts", kind));
    }
    if (!r.experts) return;
    for (std::uint32_t i = 0; i < n; ++i) {
        bool moe = i >= first && i <= last && (i + 1) % step == 0 && i % frequency == 0;
        if (period > 0) moe = i % period == offset;
        if (listed_frequency.size() == n) moe = listed_frequency[i] != 0;
        if (!chosen.empty()) moe = std::ranges::find(chosen, i) != chosen.end();
        if (kinds.size() == n) moe = kinds[i] != "dense" && kinds[i] != "mlp";
        if (std::ranges::find(dense_only, i) != dense_only.end()) moe = false;
        r.is_moe[i] = moe;
    }
}

// "sliding_attention" or "full_attention" of layer i, where no list says it.
void choose_kinds(Reading& r) {
    Keys& k = r.keys;
    const std::uint32_t n = r.m.config.n_layers;
    r.window = k.uint({"sliding_window", "sliding_window_size", "attention_window_size"});
    const std::uint32_t chunk = k.uint({"attention_chunk_size"});
    const bool uses_window = k.flag("use_sliding_window", true);
    const std::uint32_t all_before = k.uint({"max_window_layers"});
    const std::uint32_t first_sliding = k.has("use_sliding_window") ? all_before : 0;
    const std::uint32_t every = k.uint({"no_rope_layer_interval"}, 4);
    const std::string letters = k.word("sliding_window_pattern");
    std::uint32_t pattern = 0;
    if (letters.empty()) pattern = k.uint({"_sliding_window_pattern", "sliding_window_pattern", "global_attn_every_n_layers"});
    const auto rope_layers = k.uints_per_layer("no_rope_layers", n);
    auto kinds = k.words_per_layer("layer_types", n);
    if (!uses_window) r.window = 0;
    if (letters.find_first_not_of("LG") != std::string::npos) {
        k.say(fmt::format("sliding_window_pattern = \"{}\": letters other than L are planned as full attention", letters));
    }
    if (kinds.size() == n) {
        r.kinds = std::move(kinds);
        return;
    }
    r.kinds.assign(n, "full_attention");
    for (std::uint32_t i = 0; i < n; ++i) {
        if (!letters.empty()) {
            if (r.window > 0 && letters[i % letters.size()] == 'L') r.kinds[i] = "sliding_attention";
        } else if (chunk > 0) {
            const bool rotates = rope_layers.size() == n ? rope_layers[i] != 0 : (i + 1) % std::max(1U, every) != 0;
            if (rotates) r.kinds[i] = "chunked_attention";
        } else if (r.window > 0 && i >= first_sliding && (pattern < 2 || (i + 1) % pattern != 0)) {
            r.kinds[i] = "sliding_attention";
        }
    }
}

void check(Reading& r) {
    const ModelConfig& c = r.m.config;
    Keys& k = r.keys;
    if (c.n_kv_heads > 0 && c.n_heads % c.n_kv_heads != 0) {
        k.fail(bad_input("{}: num_key_value_heads: expected a divisor of the {} heads, found {}", k.reader().where(), c.n_heads,
                         c.n_kv_heads));
    }
    if (!widths_fit(c)) k.fail(bad_input("{}: expected widths whose products stay below 2^31, found larger ones", k.reader().where()));
}

// A layer that layer_types calls one thing and the plan has as another: the family's reader does not know that kind.
void compare_with_listed(Reading& r, std::vector<std::string> said_already) {
    const auto listed = r.keys.words("layer_types");
    if (listed.size() != r.m.shapes.size()) {  // a reader that lays out more than one part a layer
        for (const std::string& kind : std::set<std::string>(listed.begin(), listed.end())) {
            if (is_full(kind) || is_sliding(kind) || is_chunked(kind) || is_state(kind)) continue;
            r.m.assumed.push_back(fmt::format("layer_types has \"{}\", which is not known: it is ignored", kind));
        }
        return;
    }
    for (std::size_t i = 0; i < r.m.shapes.size(); ++i) {
        const std::string& kind = listed[i];
        const LayerShape& s = r.m.shapes[i];
        const std::uint32_t window = s.attention ? s.attention->window : 0;
        const bool attends = s.attention || s.latent;
        bool agrees = false;
        if (is_full(kind)) agrees = attends && (window == 0 || kind == "hybrid");
        if (is_sliding(kind) || is_chunked(kind)) agrees = attends && window > 0;
        if (is_state(kind)) agrees = s.state.has_value();
        if (agrees || std::ranges::find(said_already, kind) != said_already.end()) continue;
        said_already.push_back(kind);
        const char* planned = s.state      ? "layers with a state"
                              : !attends   ? "no attention"
                              : window > 0 ? "windowed attention"
                                           : "full attention";
        r.m.assumed.push_back(fmt::format("layer_types has \"{}\"{}: those layers are planned as {}", kind,
                                          is_sliding(kind) && window == 0 ? ", and no sliding_window is known" : "", planned));
    }
}

// Structure that the keys speak of and the family's own classes do not have.
void say_foreign_structure(Reading& r) {
    const std::string_view own = r.family.defaults;
    const std::string_view type = r.family.type;
    const bool knows_experts = own.find("expert") != std::string_view::npos || own.find("moe_") != std::string_view::npos ||
                               type == "gemma4_text" || type == "dbrx";
    if (r.experts && !knows_experts) {
        r.m.assumed.push_back(
            fmt::format("{} is not known to have experts: planned with the {} that the file names", type, r.experts->n_experts));
    }
    if (r.latent && own.find("kv_lora_rank") == std::string_view::npos) {
        r.m.assumed.push_back(fmt::format("{} is not known to have latent attention: planned with it, as kv_lora_rank says", type));
    }
}

// What the engine's own fields say of a model of shapes: for answers, parallelism and the rest of the plan.
void fill_config(Reading& r) {
    ModelConfig& c = r.m.config;
    const Traits& t = r.family.traits;
    c.tensors.norm_bias = t.norm_bias;
    c.tensors.no_ffn_norm = t.norms == NormPlaces::kOnce || t.norms == NormPlaces::kTwiceParallel;
    c.tensors.post_norms = t.norms == NormPlaces::kBeforeAndAfter;
    c.tensors.qkv_bias = r.attention.qkv_bias;
    c.tensors.output_bias = r.attention.output_bias;
    c.tensors.sinks = t.sinks;
    c.tensors.qk_norm = t.qk_norm == QkNorm::kHead;
    c.layers.assign(c.n_layers, LayerConfig{});
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const LayerShape& s = r.m.shapes[i];
        c.layers[i].window = s.attention ? s.attention->window : 0;
        c.layers[i].moe = s.experts.has_value();
        if (!s.experts || c.moe.n_experts > 0) continue;
        c.moe = {.n_experts = s.experts->n_experts,
                 .n_experts_used = s.experts->n_used,
                 .d_ff_expert = s.experts->d_ff,
                 .d_ff_shared = s.experts->d_ff_shared};
        c.tensors.expert_bias = s.experts->bias;
    }
    if (r.latent) {
        const LatentShape& l = *r.latent;
        c.mla = {.kv_lora_rank = l.kv_lora_rank,
                 .rope_head_dim = l.rope_head_dim,
                 .nope_head_dim = l.nope_head_dim,
                 .value_head_dim = l.value_head_dim,
                 .q_lora_rank = l.q_lora_rank};
        c.head_dim = l.nope_head_dim + l.rope_head_dim;
    }
    if (c.n_heads == 0) c.n_heads = c.n_kv_heads = 1;
    if (c.head_dim == 0) c.head_dim = c.d_model / c.n_heads;
    c.rope_tables.emplace_back();
    r.m.n_layers = c.n_layers;
}

}  // namespace

bool is_full(const std::string& kind) {
    constexpr std::array kWords{"full_attention", "attention", "global_attention", "global", "full", "indexed_attention", "hybrid"};
    return is_one_of(kind, kWords);
}
bool is_state(const std::string& kind) {
    constexpr std::array kWords{"linear_attention", "mamba", "mamba2", "conv", "recurrent", "short_conv", "gated_delta_net"};
    return is_one_of(kind, kWords);
}

LayerShape layer_of_kind(const Reading& r, const std::string& kind, bool moe) {
    const Traits& t = r.family.traits;
    LayerShape s{.norms = t.norms, .norm_gain = t.norm_gain, .norm_bias = t.norm_bias};
    if (is_state(kind) && r.linear) {
        s.state = r.linear;
    } else if (r.latent) {
        s.latent = r.latent;
    } else {
        s.attention = r.attention;
        if (is_sliding(kind)) s.attention->window = r.window;
        if (is_chunked(kind)) s.attention->window = r.keys.uint({"attention_chunk_size"});
    }
    if (moe && r.experts) {
        s.experts = r.experts;
    } else if (r.dense.d_ff > 0) {
        s.dense = r.dense;
    }
    return s;
}

Result<DescribedModel> read_decoder(const Family& family, Keys& keys, std::string_view name) {
    DescribedModel m;
    m.name = std::string(name);
    m.source = std::string(name);
    m.config.architecture = family.type;
    m.config.name = m.name;
    Reading r{.keys = keys, .family = family, .m = m, .attention = {}, .latent = {}, .dense = {}, .experts = {}};
    read_widths(r);
    read_attention(r);
    read_experts(r);
    RAFTER_TRY_VOID(keys.status());
    if (m.config.n_layers > kMaxShapedLayers) {
        return bad_input("{}: num_hidden_layers: expected at most {}, found {}", name, kMaxShapedLayers, m.config.n_layers);
    }
    choose_expert_layers(r);
    choose_kinds(r);
    m.outer.head_bias = family.traits.head_bias || keys.flag("lm_head_bias");
    m.outer.norm_without_gain = !family.traits.norm_gain;
    if (keys.uint({"num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"}) > 0) {
        m.notes.emplace_back("the module for multi-token prediction (MTP) is left out");
    }
    if (family.read != nullptr) family.read(r);
    RAFTER_TRY_VOID(keys.status());
    std::vector<std::string> unknown;
    for (std::uint32_t i = 0; m.shapes.size() < m.config.n_layers; ++i) {
        const std::string& kind = r.kinds[i];
        const bool known = is_full(kind) || is_sliding(kind) || is_chunked(kind) || (is_state(kind) && r.linear);
        if (!known && std::ranges::find(unknown, kind) == unknown.end()) unknown.push_back(kind);
        m.shapes.push_back(layer_of_kind(r, kind, r.is_moe[i]));
    }
    for (const std::string& kind : unknown) {
        m.assumed.push_back(fmt::format("layers of the unknown kind \"{}\" are planned as full attention", kind));
    }
    for (const std::string& key : keys.uneven()) {
        m.assumed.push_back(
            fmt::format("{} has one value per layer, which {} is not known to have: the first is used for all layers", key, family.type));
    }
    compare_with_listed(r, unknown);
    say_foreign_structure(r);
    m.assumed.insert(m.assumed.end(), keys.said().begin(), keys.said().end());
    if (family.unseen != nullptr) m.assumed.emplace_back(family.unseen);
    const bool attends = std::ranges::any_of(m.shapes, [](const LayerShape& s) { return s.attention || s.latent; });
    if (attends && m.config.n_heads == 0) (void)keys.need({"num_attention_heads"});
    RAFTER_TRY_VOID(keys.status());
    fill_config(r);
    check(r);
    RAFTER_TRY_VOID(keys.status());
    return m;
}

}  // namespace rafter::model::hf
