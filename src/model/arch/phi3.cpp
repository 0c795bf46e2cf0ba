// Phi-3, Phi-3.5 and Phi-4: Q, K, V in one tensor, gate and up in another, LongRoPE in the long-context ones.
#include "model/arch/arch.h"

namespace rafter::model {

Result<ModelConfig> read_phi3(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_common(keys, RopePairing::kHalves));
    config.tensors.fused_qkv = keys.has_tensor("blk.0.attn_qkv.weight");
    config.tensors.fused_gate_up = !keys.has_tensor("blk.0.ffn_gate.weight");
    RAFTER_TRY(const std::uint32_t window, keys.get_uint_or("attention.sliding_window", 0, 0, 1U << 30));
    // A window as long as the context hides nothing.
    if (window < config.n_context) {
        for (LayerConfig& layer : config.layers) layer.window = window;
    }
    return config;
}

}  // namespace rafter::model
