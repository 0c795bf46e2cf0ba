// Dimensions, RoPE, windows and experts of each family that the engine runs.
#include "model/hf/checkpoint_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/json_reader.h"
#include "base/quote.h"

namespace rafter::model::hf {
namespace {

struct CheckpointFamily {
    std::string_view type;
    std::string_view architecture;
    std::uint32_t head_dim;  // where the file says none; 0: width over heads
    double epsilon;
    double rope_base;
    bool tied;
};
// Defaults of transformers' configuration classes, for keys that files leave out.
constexpr std::array kFamilies{
    CheckpointFamily{"llama", "llama", 0, 1e-6, 1e4, false},    CheckpointFamily{"mistral", "llama", 0, 1e-6, 1e4, false},
    CheckpointFamily{"mixtral", "llama", 0, 1e-5, 1e6, false},  CheckpointFamily{"qwen2", "qwen2", 0, 1e-6, 1e4, false},
    CheckpointFamily{"qwen3", "qwen3", 128, 1e-6, 1e4, false},  CheckpointFamily{"qwen3_moe", "qwen3moe", 0, 1e-6, 1e4, false},
    CheckpointFamily{"gemma2", "gemma2", 256, 1e-6, 1e4, true}, CheckpointFamily{"gemma3_text", "gemma3", 256, 1e-6, 1e6, true},
    CheckpointFamily{"phi3", "phi3", 0, 1e-5, 1e4, false},      CheckpointFamily{"gpt_oss", "gpt-oss", 64, 1e-5, 150000.0, false},
};
constexpr std::uint32_t kMaxCount = 1U << 30;
constexpr double kMaxNumber = 1e12;

Error refused(const JsonReader& config, std::string_view key, std::string_view expected, std::string_view found) {
    return bad_input("{}: {}: expected {}, found {}", config.where(), key, expected, found);
}

Result<void> expect_off(const JsonReader& config, const char* key) {
    RAFTER_TRY(const auto on, config.find_bool(key));
    if (on.value_or(false)) return refused(config, key, "false, as the engine computes it", "true");
    return {};
}

Result<std::vector<float>> factors(const JsonReader& rope, const char* key, std::size_t n) {
    const nlohmann::json* list = rope.find(key);
    std::vector<float> values;
    if (list != nullptr && list->is_array()) {
        for (const nlohmann::json& v : *list) values.push_back(v.is_number() ? v.get<float>() : 0.0F);
    }
    if (values.size() != n || std::ranges::any_of(values, [](float v) { return !std::isfinite(v) || v <= 0; })) {
        return refused(rope, key, fmt::format("{} numbers above 0", n), fmt::format("{}", values.size()));
    }
    return values;
}

// Divisors of the speeds (Llama 3.1): slow ones by the factor, fast ones by 1, a linear blend of the speeds between.
Result<std::vector<float>> llama3_factors(const JsonReader& rope, double base, std::uint32_t n_dims) {
    RAFTER_TRY(const double factor, rope.get_number("factor", 1e-6, 1e6));
    RAFTER_TRY(const double low, rope.get_number("low_freq_factor", 1e-6, 1e6));
    RAFTER_TRY(const double high, rope.get_number("high_freq_factor", 1e-6, 1e6));
    RAFTER_TRY(const double original, rope.get_number("original_max_position_embeddings", 1, kMaxCount));
    if (high <= low) return refused(rope, "high_freq_factor", "more than low_freq_factor", fmt::format("{}", high));
    std::vector<float> divisors;
    for (std::uint32_t i = 0; i < n_dims / 2; ++i) {
        const double wavelength = 2 * std::numbers::pi * std::pow(base, 2.0 * i / n_dims);
        double divisor = 1;
        if (wavelength > original / low) {
            divisor = factor;
        } else if (wavelength >= original / high) {
            const double smooth = (original / wavelength - low) / (high - low);
            divisor = 1 / ((1 - smooth) / factor + smooth);
        }
        divisors.push_back(static_cast<float>(divisor));
    }
    return divisors;
}

Result<void> read_yarn(const JsonReader& rope, double factor, CheckpointConfig& c) {
    RAFTER_TRY(const auto truncate, rope.find_bool("truncate"));
    const bool wanted = c.type != "gpt_oss";
    if (truncate.value_or(true) != wanted) return refused(rope, "truncate", wanted ? "true" : "false", wanted ? "false" : "true");
    RAFTER_TRY(const auto fast, rope.find_number("beta_fast", 1e-6, 1e6));
    RAFTER_TRY(const auto slow, rope.find_number("beta_slow", 1e-6, 1e6));
    if (fast) c.numbers.emplace_back("rope.scaling.yarn_beta_fast", *fast);
    if (slow) c.numbers.emplace_back("rope.scaling.yarn_beta_slow", *slow);
    RAFTER_TRY(const auto given, rope.find_number("attention_factor", 1e-6, 1e6));
    RAFTER_TRY(const auto mscale, rope.find_number("mscale", 0, 1e6));
    RAFTER_TRY(const auto mscale_all, rope.find_number("mscale_all_dim", 0, 1e6));
    const auto grown = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1; };
    double magnitude = grown(1);
    if (given) {
        magnitude = *given;
    } else if (mscale.value_or(0) != 0 && mscale_all.value_or(0) != 0) {
        magnitude = grown(*mscale) / grown(*mscale_all);
    }
    // GGUF's readers multiply by the growth themselves.
    if (magnitude != grown(1)) c.numbers.emplace_back("rope.scaling.attn_factor", magnitude / (1 + 0.1 * std::log(factor)));
    return {};
}

Result<void> read_rope_scaling(const JsonReader& config, const JsonReader& rope, double base, std::uint32_t n_dims, std::uint32_t n_context,
                               CheckpointConfig& c) {
    RAFTER_TRY(auto type, rope.find_string("rope_type"));
    if (!type) {
        RAFTER_TRY(type, rope.find_string("type"));
    }
    const std::string kind = type.value_or("default");
    RAFTER_TRY(auto original, rope.find_uint("original_max_position_embeddings", 1, kMaxCount));
    if (!original) {
        RAFTER_TRY(original, config.find_uint("original_max_position_embeddings", 1, kMaxCount));
    }
    if (kind == "default") return {};
    if (kind == "llama3") {
        RAFTER_TRY(auto divisors, llama3_factors(rope, base, n_dims));
        c.rope_tensors.emplace_back("rope_freqs.weight", std::move(divisors));
        return {};
    }
    if (kind == "longrope" || kind == "su") {
        if (!original) return refused(rope, "original_max_position_embeddings", "a whole number", "none");
        RAFTER_TRY(auto far, factors(rope, "long_factor", n_dims / 2));
        RAFTER_TRY(auto near, factors(rope, "short_factor", n_dims / 2));
        c.rope_tensors.emplace_back("rope_factors_long.weight", std::move(far));
        c.rope_tensors.emplace_back("rope_factors_short.weight", std::move(near));
        c.texts.emplace_back("rope.scaling.type", "longrope");
        c.counts.emplace_back("rope.scaling.original_context_length", *original);
        const double stretch = static_cast<double>(n_context) / *original;
        RAFTER_TRY(const auto given, rope.find_number("attention_factor", 1e-6, 1e6));
        const double own = stretch <= 1 ? 1 : std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(*original)));
        c.numbers.emplace_back("rope.scaling.attn_factor", given.value_or(own));
        return {};
    }
    if (kind != "linear" && kind != "yarn") {
        return refused(rope, "rope_type", "default, linear, llama3, yarn or longrope", quote(kind));
    }
    RAFTER_TRY(const double factor, rope.get_number("factor", 1, 1e6));
    c.texts.emplace_back("rope.scaling.type", kind);
    c.numbers.emplace_back("rope.scaling.factor", factor);
    if (kind == "linear") return {};
    c.counts.emplace_back("rope.scaling.original_context_length", original.value_or(n_context));
    return read_yarn(rope, factor, c);
}

Result<void> read_rope(const JsonReader& config, double default_base, std::uint32_t n_context, CheckpointConfig& c) {
    const nlohmann::json none = nlohmann::json::object();
    RAFTER_TRY(JsonReader rope, JsonReader::open(none, config.where()));
    RAFTER_TRY(auto found, config.find_object("rope_parameters"));  // transformers 5
    RAFTER_TRY(auto scaling, config.find_object("rope_scaling"));
    if (!found) found = scaling;
    if (found) rope = *found;
    double base = default_base;
    RAFTER_TRY(auto theta, config.find_number("rope_theta", 1, kMaxNumber));
    double local_base = 1e4;
    if (c.type == "gemma3_text") {
        RAFTER_TRY(const auto local, config.find_number("rope_local_base_freq", 1, kMaxNumber));
        local_base = local.value_or(local_base);
        RAFTER_TRY(auto full, rope.find_object("full_attention"));
        RAFTER_TRY(auto sliding, rope.find_object("sliding_attention"));
        if (sliding) {
            RAFTER_TRY(const auto type, sliding->find_string("rope_type"));
            if (type.value_or("default") != "default") return refused(*sliding, "rope_type", "default", quote(*type));
            RAFTER_TRY(const auto own, sliding->find_number("rope_theta", 1, kMaxNumber));
            local_base = own.value_or(local_base);
        }
        if (full) rope = *full;
        c.numbers.emplace_back("rope.freq_base_swa", local_base);
    }
    RAFTER_TRY(const auto own, rope.find_number("rope_theta", 1, kMaxNumber));
    base = own ? *own : theta.value_or(default_base);
    RAFTER_TRY(auto share, rope.find_number("partial_rotary_factor", 0.01, 1));
    if (!share) {
        RAFTER_TRY(share, config.find_number("partial_rotary_factor", 0.01, 1));
    }
    if (share.value_or(1) != 1 && c.architecture != "phi3") {
        return refused(config, "partial_rotary_factor", "1", fmt::format("{}", *share));
    }
    const auto n_dims = static_cast<std::uint32_t>(c.head_dim * share.value_or(1));
    if (n_dims < 2 || n_dims % 2 != 0)
        return refused(config, "head_dim", "an even number of rotated dimensions", fmt::format("{}", n_dims));
    c.counts.emplace_back("rope.dimension_count", n_dims);
    c.numbers.emplace_back("rope.freq_base", base);
    return read_rope_scaling(config, rope, base, n_dims, n_context, c);
}

// layer_types, where the file has them, must be what the period says.
Result<void> check_layer_types(const JsonReader& config, const CheckpointConfig& c, std::uint32_t period) {
    const nlohmann::json* types = config.find("layer_types");
    if (types == nullptr) return {};
    if (!types->is_array() || types->size() != c.n_layers) return refused(config, "layer_types", "one a layer", shown_json(*types));
    for (std::uint32_t i = 0; i < c.n_layers; ++i) {
        const bool sliding = period != 0 && (i + 1) % period != 0;
        const std::string_view wanted = sliding ? "sliding_attention" : "full_attention";
        if ((*types)[i] != wanted) {
            return bad_input("{}: layer_types: layer {}: expected {} in this family, found {}", config.where(), i, wanted,
                             shown_json((*types)[i]));
        }
    }
    return {};
}

Result<void> read_windows(const JsonReader& config, std::uint32_t n_context, CheckpointConfig& c) {
    RAFTER_TRY(const auto window, config.find_uint("sliding_window", 1, kMaxCount));
    if (c.type == "mistral" || c.type == "mixtral" || c.type == "phi3") {
        if (c.type == "phi3") {
            c.counts.emplace_back("attention.sliding_window", window.value_or(n_context));
        } else if (window && *window < n_context) {
            return refused(config, "sliding_window", fmt::format("none, or at least the context's {}", n_context),
                           fmt::format("{}", *window));
        }
        return {};
    }
    if (c.architecture == "qwen2" || c.architecture == "qwen3" || c.architecture == "qwen3moe") {
        RAFTER_TRY_VOID(expect_off(config, "use_sliding_window"));
        return check_layer_types(config, c, 0);
    }
    if (c.architecture == "llama") return check_layer_types(config, c, 0);
    std::uint32_t period = 2;
    if (c.architecture == "gemma3") {
        period = 6;
        RAFTER_TRY(auto said, config.find_uint("sliding_window_pattern", 1, 1U << 20));
        if (!said) {
            RAFTER_TRY(said, config.find_uint("_sliding_window_pattern", 1, 1U << 20));
        }
        if (const nlohmann::json* types = config.find("layer_types"); types != nullptr && types->is_array()) {
            const auto full = std::ranges::find(*types, nlohmann::json("full_attention"));
            period = static_cast<std::uint32_t>(full - types->begin()) + 1;
        } else if (said) {
            period = *said;
        }
        if (period != 6) c.counts.emplace_back("attention.sliding_window_pattern", period);
    }
    const std::uint32_t fallback = c.architecture == "gpt-oss" ? 128 : 4096;
    c.counts.emplace_back("attention.sliding_window", window.value_or(fallback));
    return check_layer_types(config, c, period);
}

Result<void> read_experts(const JsonReader& config, std::uint32_t d_ff, CheckpointConfig& c) {
    const bool qwen = c.type == "qwen3_moe";
    RAFTER_TRY(c.n_experts,
               config.get_uint(qwen && config.find("num_experts") != nullptr ? "num_experts" : "num_local_experts", 1, 1U << 16));
    RAFTER_TRY(auto used, config.find_uint("num_experts_per_tok", 1, c.n_experts));
    if (!used) {
        RAFTER_TRY(used, config.find_uint("experts_per_token", 1, c.n_experts));
    }
    if (!used) return refused(config, "num_experts_per_tok", "a whole number", "no such key");
    c.counts.emplace_back("expert_count", c.n_experts);
    c.counts.emplace_back("expert_used_count", *used);
    if (qwen) {
        RAFTER_TRY(const std::uint32_t width, config.get_uint("moe_intermediate_size", 1, kMaxCount));
        c.counts.emplace_back("expert_feed_forward_length", width);
        RAFTER_TRY(const auto norm, config.find_bool("norm_topk_prob"));
        if (!norm.value_or(false) && *used > 1) return refused(config, "norm_topk_prob", "true, as the engine computes it", "false");
        RAFTER_TRY(const auto step, config.find_uint("decoder_sparse_step", 0, kMaxCount));
        if (step.value_or(1) != 1) return refused(config, "decoder_sparse_step", "1", fmt::format("{}", *step));
        const nlohmann::json* dense = config.find("mlp_only_layers");
        if (dense != nullptr && !(dense->is_array() && dense->empty()))
            return refused(config, "mlp_only_layers", "none", shown_json(*dense));
    } else if (c.type == "gpt_oss") {
        c.counts.emplace_back("expert_feed_forward_length", d_ff);
        RAFTER_TRY(const auto limit, config.find_number("swiglu_limit", 0, 1e6));
        if (limit.value_or(7) != 7) return refused(config, "swiglu_limit", "7", fmt::format("{}", *limit));
    }
    return {};
}

Result<void> read_gemma(const JsonReader& config, std::uint32_t d_model, CheckpointConfig& c) {
    const bool second = c.architecture == "gemma2";
    RAFTER_TRY_VOID(expect_off(config, "use_bidirectional_attention"));
    const auto softcap = [&](const char* key, double fallback) -> Result<double> {
        RAFTER_TRY(const auto value, config.find_number(key, 0, 1e6));
        return value.value_or(fallback);
    };
    RAFTER_TRY(const double attention, softcap("attn_logit_softcapping", 0));
    RAFTER_TRY(const double final, softcap("final_logit_softcapping", 0));
    if (!second && attention != 0) return refused(config, "attn_logit_softcapping", "none", fmt::format("{}", attention));
    if (second) c.numbers.emplace_back("attn_logit_softcapping", attention);
    c.numbers.emplace_back("final_logit_softcapping", final);
    // The engine follows llama.cpp: the 27B models scale queries by width over heads, all others by the head dimension.
    const bool by_width = c.n_layers == (second ? 46U : 62U);
    const double wanted = by_width ? static_cast<double>(d_model) / c.n_heads : c.head_dim;
    RAFTER_TRY(const auto scalar, config.find_number("query_pre_attn_scalar", 1e-6, 1e6));
    if (scalar.value_or(256) != wanted) {
        return refused(config, "query_pre_attn_scalar", fmt::format("{}", wanted), fmt::format("{}", scalar.value_or(256)));
    }
    return {};
}

Result<void> check_activation(const JsonReader& config, const CheckpointConfig& c) {
    const bool gemma = c.architecture == "gemma2" || c.architecture == "gemma3";
    RAFTER_TRY(auto name, config.find_string(gemma && config.find("hidden_activation") != nullptr ? "hidden_activation" : "hidden_act"));
    const std::string wanted = gemma ? "gelu_pytorch_tanh" : "silu";
    const std::string found = name.value_or(wanted);
    if (found != wanted && !(!gemma && found == "swish")) return refused(config, "hidden_act", wanted, quote(found));
    return {};
}

Result<void> read_biases(const JsonReader& config, CheckpointConfig& c) {
    RAFTER_TRY(const auto attention, config.find_bool("attention_bias"));
    RAFTER_TRY_VOID(expect_off(config, "mlp_bias"));
    const bool on = attention.value_or(c.type == "gpt_oss");
    if (c.type == "llama") {
        c.qkv_bias = c.output_bias = on;
    } else if (c.type == "gpt_oss") {
        if (!on) return refused(config, "attention_bias", "true in this family", "false");
        c.qkv_bias = c.output_bias = true;
    } else if (c.type == "qwen2") {
        c.qkv_bias = true;
    } else if (on) {
        return refused(config, "attention_bias", "false in this family", "true");
    }
    return {};
}

}  // namespace

Result<CheckpointConfig> read_checkpoint_config(const nlohmann::json& json, const std::string& name) {
    RAFTER_TRY(const JsonReader outer, JsonReader::open(json, name));
    RAFTER_TRY(const auto outer_type, outer.find_string("model_type"));
    RAFTER_TRY(const auto inner, outer.find_object("text_config"));
    const JsonReader& config = inner ? *inner : outer;
    CheckpointConfig c;
    c.type = outer_type.value_or("");
    if (c.type == "gemma3") c.type = "gemma3_text";
    const auto* const family = std::ranges::find(kFamilies, std::string_view(c.type), &CheckpointFamily::type);
    if (family == kFamilies.end()) {
        std::vector<std::string_view> known{"gemma3"};
        for (const CheckpointFamily& f : kFamilies) known.push_back(f.type);
        return bad_input("{}: model_type: expected one of {}, found {}", name, fmt::join(known, ", "), quote(c.type));
    }
    c.architecture = family->architecture;
    RAFTER_TRY(c.n_layers, config.get_uint("num_hidden_layers", 1, 1U << 16));
    RAFTER_TRY(const std::uint32_t d_model, config.get_uint("hidden_size", 1, 1U << 20));
    RAFTER_TRY(const std::uint32_t d_ff, config.get_uint("intermediate_size", 1, 1U << 20));
    RAFTER_TRY(c.n_heads, config.get_uint("num_attention_heads", 1, 1U << 12));
    RAFTER_TRY(const auto n_kv, config.find_uint("num_key_value_heads", 1, 1U << 12));
    c.n_kv_heads = n_kv.value_or(c.n_heads);
    RAFTER_TRY(const auto head_dim, config.find_uint("head_dim", 1, 1U << 12));
    c.head_dim = head_dim.value_or(family->head_dim != 0 ? family->head_dim : d_model / c.n_heads);
    if (c.head_dim == 0) return refused(config, "num_attention_heads", "at most hidden_size", fmt::format("{}", c.n_heads));
    RAFTER_TRY(const std::uint32_t n_context, config.get_uint("max_position_embeddings", 1, kMaxCount));
    RAFTER_TRY(const auto epsilon, config.find_number("rms_norm_eps", 1e-30, 1));
    RAFTER_TRY(const auto n_vocab, config.find_uint("vocab_size", 1, kMaxCount));
    RAFTER_TRY(auto tied, config.find_bool("tie_word_embeddings"));
    if (inner && !tied) {
        RAFTER_TRY(tied, outer.find_bool("tie_word_embeddings"));
    }
    c.tied_embeddings = tied.value_or(family->tied);
    c.counts = {{"block_count", c.n_layers},          {"context_length", n_context},         {"embedding_length", d_model},
                {"feed_forward_length", d_ff},        {"attention.head_count", c.n_heads},   {"attention.head_count_kv", c.n_kv_heads},
                {"attention.key_length", c.head_dim}, {"attention.value_length", c.head_dim}};
    if (n_vocab) c.counts.emplace_back("vocab_size", *n_vocab);
    c.numbers.emplace_back("attention.layer_norm_rms_epsilon", epsilon.value_or(family->epsilon));
    RAFTER_TRY_VOID(check_activation(config, c));
    RAFTER_TRY_VOID(read_biases(config, c));
    RAFTER_TRY_VOID(read_rope(config, family->rope_base, n_context, c));
    RAFTER_TRY_VOID(read_windows(config, n_context, c));
    if (c.architecture == "gemma2" || c.architecture == "gemma3") RAFTER_TRY_VOID(read_gemma(config, d_model, c));
    if (c.type == "mixtral" || c.type == "qwen3_moe" || c.type == "gpt_oss") RAFTER_TRY_VOID(read_experts(config, d_ff, c));
    return c;
}

}  // namespace rafter::model::hf
