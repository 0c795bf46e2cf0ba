// The same thing has several names in these files: each family kept those of its first code.
#include "model/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace rafter::model {
namespace {

constexpr std::uint32_t kMax = 1'000'000'000;

Result<std::optional<std::uint32_t>> find_first(const JsonReader& keys, std::initializer_list<const char*> names) {
    std::optional<std::uint32_t> first;
    for (const char* name : names) {
        RAFTER_TRY(const auto found, keys.find_uint(name, 0, kMax));
        if (found && !first) first = found;
    }
    return first;
}
Result<std::uint32_t> get_first(const JsonReader& keys, std::initializer_list<const char*> names) {
    RAFTER_TRY(const auto found, find_first(keys, names));
    if (!found || *found == 0)
        return bad_input("{}: {}: expected a whole number above 0, found {}", keys.where(), *names.begin(), found ? "0" : "no such key");
    return *found;
}

template <std::size_t n>
bool is_one_of(const std::string& word, const std::array<const char*, n>& words) {
    return std::ranges::any_of(words, [&](const char* w) { return word == w; });
}

bool is_ungated(const std::string& type) {
    constexpr std::array kTypes{"gpt2",   "gpt_neo", "gpt_neox", "gptj",        "opt",        "bloom",
                                "falcon", "phi",     "mpt",      "gpt_bigcode", "starcoder2", "codegen"};
    return is_one_of(type, kTypes);
}
// Those whose code, where the file says nothing, shares input and output embeddings.
bool ties_by_default(const std::string& type) {
    constexpr std::array kTypes{"gemma", "gemma2", "gemma3", "gemma3_text", "gpt2",    "opt",
                                "bloom", "falcon", "mpt",    "gpt_bigcode", "gpt_neo", "starcoder2"};
    return is_one_of(type, kTypes);
}

Result<void> read_experts(const JsonReader& keys, ModelConfig& c) {
    RAFTER_TRY(const auto n_experts, find_first(keys, {"num_local_experts", "num_experts", "n_routed_experts"}));
    RAFTER_TRY(const auto n_used, find_first(keys, {"num_experts_per_tok", "num_experts_per_token", "experts_per_token"}));
    RAFTER_TRY(const auto d_ff, find_first(keys, {"moe_intermediate_size"}));
    RAFTER_TRY(const auto n_shared, find_first(keys, {"n_shared_experts"}));
    RAFTER_TRY(const auto shared_width, find_first(keys, {"shared_expert_intermediate_size"}));
    c.moe.n_experts = n_experts.value_or(0);
    if (c.moe.n_experts == 0) return {};
    c.moe.n_experts_used = n_used.value_or(0);
    if (c.moe.n_experts_used == 0 || c.moe.n_experts_used > c.moe.n_experts) {
        return bad_input("{}: num_experts_per_tok: expected 1 to {}, found {}", keys.where(), c.moe.n_experts, c.moe.n_experts_used);
    }
    c.moe.d_ff_expert = d_ff.value_or(c.d_ff);
    const double shared = shared_width ? *shared_width : double{1} * n_shared.value_or(0) * c.moe.d_ff_expert;
    c.moe.d_ff_shared = static_cast<std::uint32_t>(std::min(shared, 1e9));
    return {};
}

Result<void> read_mla(const JsonReader& keys, ModelConfig& c) {
    RAFTER_TRY(const auto kv_rank, find_first(keys, {"kv_lora_rank"}));
    RAFTER_TRY(const auto q_rank, find_first(keys, {"q_lora_rank"}));
    RAFTER_TRY(const auto rope, find_first(keys, {"qk_rope_head_dim"}));
    RAFTER_TRY(const auto nope, find_first(keys, {"qk_nope_head_dim"}));
    RAFTER_TRY(const auto value, find_first(keys, {"v_head_dim"}));
    if (!kv_rank || *kv_rank == 0) return {};
    c.mla = {.kv_lora_rank = *kv_rank,
             .rope_head_dim = rope.value_or(64),
             .nope_head_dim = nope.value_or(128),
             .value_head_dim = value.value_or(nope.value_or(128)),
             .q_lora_rank = q_rank.value_or(0)};
    c.head_dim = c.mla.nope_head_dim + c.mla.rope_head_dim;
    return {};
}

// Windows of the layers: one rule for all, or a list with an entry a layer.
Result<void> read_layers(const JsonReader& keys, const std::string& type, double n_layers, DescribedModel& m) {
    RAFTER_TRY(const auto window, find_first(keys, {"sliding_window"}));
    RAFTER_TRY(const auto pattern, find_first(keys, {"sliding_window_pattern", "_sliding_window_pattern"}));
    RAFTER_TRY(const auto n_dense, find_first(keys, {"first_k_dense_replace"}));
    RAFTER_TRY(const auto uses_window, keys.find_bool("use_sliding_window"));
    const nlohmann::json* kinds = keys.find("layer_types");
    LayerPlan plan{.n_layers = n_layers, .window = window.value_or(0), .full_every = 0, .n_dense = n_dense.value_or(0)};
    if (uses_window && !*uses_window) plan.window = 0;
    if (type == "gemma2") plan.full_every = 2;
    if (type.starts_with("gemma3")) plan.full_every = 6;
    if (type == "gpt_oss") plan.full_every = 2;
    if (pattern && *pattern > 0) plan.full_every = std::min(*pattern, 128U);
    lay_out(plan, m);
    if (kinds == nullptr || !kinds->is_array() || kinds->size() != m.config.n_layers || n_layers > kMaxListedLayers) return {};
    for (std::uint32_t i = 0; i < m.config.n_layers; ++i) {
        const bool sliding = (*kinds)[i].is_string() && (*kinds)[i].get<std::string>() == "sliding_attention";
        m.config.layers[i].window = sliding ? plan.window : 0;
    }
    return {};
}

struct Stored {
    const char* dtype;
    double bits;
};

Result<void> read_types(const JsonReader& keys, DescribedModel& m) {
    RAFTER_TRY(const auto old_name, keys.find_string("torch_dtype"));
    RAFTER_TRY(const auto dtype, keys.find_string("dtype"));
    const std::string type = dtype.value_or(old_name.value_or("float16"));
    for (const Stored& s : {Stored{"float32", 32}, {"float16", 16}, {"bfloat16", 16}, {"float8_e4m3fn", 8}}) {
        if (type != s.dtype) continue;
        m.weight_bits = s.bits;
        m.weight_type = s.bits == 32 ? "fp32" : s.bits == 8 ? "fp8" : type == "bfloat16" ? "bf16" : "fp16";
    }
    RAFTER_TRY(const auto quantized, keys.find_object("quantization_config"));
    if (!quantized) return {};
    RAFTER_TRY(const auto method, quantized->find_string("quant_method"));
    RAFTER_TRY(const auto bits, quantized->find_number("bits", 1, 16));
    const std::string by = method.value_or("");
    if (by == "mxfp4") {
        m.expert_bits = 4.25;
        m.weight_type += ", experts MXFP4";
    } else if (by == "fp8" || by == "fbgemm_fp8") {
        m.weight_bits = 8.0;
        m.weight_type = "fp8";
    } else if (bits) {
        m.weight_bits = *bits;
        m.weight_type = fmt::format("int{:g} ({})", *bits, by);
    } else {
        m.notes.push_back("quantization_config is of a method that is not known here; weights are priced as " + m.weight_type);
    }
    return {};
}

Result<DescribedModel> read_text_config(const JsonReader& keys, const std::string& type, std::string_view name) {
    DescribedModel m;
    ModelConfig& c = m.config;
    m.name = std::string(name);
    m.source = std::string(name);
    c.architecture = type;
    c.name = m.name;
    RAFTER_TRY(const std::uint32_t n_layers, get_first(keys, {"num_hidden_layers", "n_layer", "num_layers", "n_layers"}));
    RAFTER_TRY(c.d_model, get_first(keys, {"hidden_size", "n_embd", "d_model"}));
    RAFTER_TRY(c.n_heads, get_first(keys, {"num_attention_heads", "n_head", "n_heads"}));
    RAFTER_TRY(const auto n_kv_heads, find_first(keys, {"num_key_value_heads", "num_kv_heads", "n_head_kv"}));
    RAFTER_TRY(const auto multi_query, keys.find_bool("multi_query"));
    const bool one_head = multi_query.value_or(false) && !n_kv_heads;
    c.n_kv_heads = one_head ? 1 : std::max(1U, n_kv_heads.value_or(c.n_heads));
    RAFTER_TRY(const auto head_dim, find_first(keys, {"head_dim"}));
    c.head_dim = head_dim.value_or(0) > 0 ? *head_dim : std::max(1U, c.d_model / c.n_heads);
    RAFTER_TRY(const auto d_ff, find_first(keys, {"intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"}));
    c.d_ff = d_ff.value_or(4 * std::min(c.d_model, kMax / 4));
    RAFTER_TRY(c.n_vocab, get_first(keys, {"vocab_size"}));
    RAFTER_TRY(const auto n_context, find_first(keys, {"max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"}));
    c.n_context = n_context.value_or(0);
    RAFTER_TRY(const auto tied, keys.find_bool("tie_word_embeddings"));
    c.tied_embeddings = tied.value_or(ties_by_default(type));
    c.gated_ffn = !is_ungated(type);
    RAFTER_TRY(const auto attention_bias, keys.find_bool("attention_bias"));
    const bool all_biases = type == "gpt2" || type == "opt" || type == "gpt_neox" || type == "bloom";
    c.tensors = {.qkv_bias = attention_bias.value_or(type == "qwen2" || type == "qwen2_moe" || all_biases),
                 .output_bias = attention_bias.value_or(all_biases),
                 .qk_norm = type.starts_with("qwen3") || type.starts_with("gemma3"),
                 .post_norms = type == "gemma2" || type.starts_with("gemma3"),
                 .sinks = type == "gpt_oss",
                 .expert_bias = type == "gpt_oss",
                 .ffn_bias = all_biases,
                 .norm_bias = all_biases,
                 .no_ffn_norm = type == "falcon" || type == "gptj" || type == "phi"};
    if (type == "gpt2" || type == "opt") c.n_positions = c.n_context + (type == "opt" ? 2 : 0);
    RAFTER_TRY_VOID(read_experts(keys, c));
    RAFTER_TRY_VOID(read_mla(keys, c));
    if (c.n_heads % c.n_kv_heads != 0) {
        return bad_input("{}: num_key_value_heads: expected a divisor of the {} heads, found {}", name, c.n_heads, c.n_kv_heads);
    }
    if (!widths_fit(c)) return bad_input("{}: expected widths whose products stay below 2^31, found larger ones", name);
    RAFTER_TRY_VOID(read_layers(keys, type, n_layers, m));
    RAFTER_TRY_VOID(read_types(keys, m));
    return m;
}

}  // namespace

Result<DescribedModel> read_hf_config(const nlohmann::json& json, std::string_view name) {
    RAFTER_TRY(const JsonReader keys, JsonReader::open(json, std::string(name)));
    RAFTER_TRY(const auto inner, keys.find_object("text_config"));
    RAFTER_TRY(const auto type, keys.find_string("model_type"));
    if (!inner) return read_text_config(keys, type.value_or(""), name);
    RAFTER_TRY(const auto inner_type, inner->find_string("model_type"));
    return read_text_config(*inner, inner_type.value_or(type.value_or("")), name);
}

}  // namespace rafter::model
