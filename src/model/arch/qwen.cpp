// Qwen2 and 2.5 (biases on Q, K, V), Qwen3 (QK norms instead) and its mixtures of experts.
#include "model/arch/arch.h"

namespace rafter::model {

Result<ModelConfig> read_qwen2(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_common(keys, RopePairing::kHalves));
    config.tensors.qkv_bias = true;
    return config;
}

Result<ModelConfig> read_qwen3(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_common(keys, RopePairing::kHalves));
    config.tensors.qk_norm = true;
    return config;
}

Result<ModelConfig> read_qwen3moe(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_qwen3(keys));
    RAFTER_TRY_VOID(read_experts(keys, config));
    return config;
}

}  // namespace rafter::model
