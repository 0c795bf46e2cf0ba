// gpt-oss: experts in MXFP4, biases everywhere, attention sinks, a window in every other layer, YaRN with an unrounded ramp.
#include "model/arch/arch.h"

namespace rafter::model {

Result<ModelConfig> read_gpt_oss(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_common(keys, RopePairing::kHalves));
    RAFTER_TRY(config.rope_tables.front(), read_rope(keys, config, RopePairing::kHalves, YarnRounding::kNone));
    RAFTER_TRY_VOID(read_experts(keys, config));
    if (config.moe.n_experts == 0) return bad_input("{}: expected a number above 0, found none", keys.key("expert_count"));
    config.moe.scoring = RouterScoring::kTopKThenSoftmax;
    config.activation = Activation::kSwigluClamped;
    config.tensors.qkv_bias = true;
    config.tensors.output_bias = true;
    config.tensors.sinks = true;
    config.tensors.expert_bias = true;
    config.tensors.ffn_norm = "post_attention_norm";
    RAFTER_TRY(const std::uint32_t window, keys.get_uint_or("attention.sliding_window", 128, 0, 1U << 30));
    for (std::uint32_t i = 0; i < config.n_layers; i += 2) config.layers[i].window = window;
    return config;
}

}  // namespace rafter::model
