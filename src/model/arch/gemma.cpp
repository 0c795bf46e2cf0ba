// Gemma 2 and 3: scaled embeddings, norms before and after each block, layers with a sliding window between full ones.
#include <cmath>

#include "model/arch/arch.h"

namespace rafter::model {
namespace {

// Every `period`-th layer sees everything; the others a window.
Result<void> read_windows(const ArchKeys& keys, std::uint32_t default_window, std::uint32_t default_period, ModelConfig& config) {
    RAFTER_TRY(const std::uint32_t window, keys.get_uint_or("attention.sliding_window", default_window, 0, 1U << 30));
    RAFTER_TRY(const std::uint32_t period, keys.get_uint_or("attention.sliding_window_pattern", default_period, 1, 1U << 20));
    for (std::uint32_t i = 0; i < config.n_layers; ++i) {
        if ((i + 1) % period != 0) config.layers[i].window = window;
    }
    return {};
}

Result<ModelConfig> read_gemma(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_common(keys, RopePairing::kHalves));
    config.embedding_scale = std::sqrt(static_cast<float>(config.d_model));
    config.activation = Activation::kGeluTanh;
    config.tensors.post_norms = true;
    return config;
}

// The 27B models scale queries by what their width over their heads would be, not by the head dimension.
void scale_queries_by_width(ModelConfig& config) {
    config.attention_scale = 1.0F / std::sqrt(static_cast<float>(config.d_model) / static_cast<float>(config.n_heads));
}

}  // namespace

Result<ModelConfig> read_gemma2(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_gemma(keys));
    RAFTER_TRY(config.attention_softcap, keys.get_float_or("attn_logit_softcapping", 50.0F));
    RAFTER_TRY(config.logit_softcap, keys.get_float_or("final_logit_softcapping", 30.0F));
    RAFTER_TRY_VOID(read_windows(keys, 4096, 2, config));
    if (config.n_layers == 46) scale_queries_by_width(config);
    return config;
}

Result<ModelConfig> read_gemma3(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_gemma(keys));
    RAFTER_TRY(config.logit_softcap, keys.get_float_or("final_logit_softcapping", 0.0F));
    config.tensors.qk_norm = true;
    // The files name neither the pattern nor the local layers' base: every 6th layer is global, the others rotate with base 10,000,
    // unscaled.
    RAFTER_TRY_VOID(read_windows(keys, 1024, 6, config));
    RAFTER_TRY(const float local_base, keys.get_positive_or("rope.freq_base_swa", 10000.0F));
    const auto n_dims = static_cast<std::uint32_t>(2 * config.rope_tables.front().inverse_frequency.size());
    config.rope_tables.push_back(plain_rope(n_dims, local_base, RopePairing::kHalves));
    for (LayerConfig& layer : config.layers) {
        if (layer.window != 0) layer.rope_table = 1;
    }
    if (config.n_layers == 62) scale_queries_by_width(config);
    return config;
}

}  // namespace rafter::model
