// Llama 1 to 3, Mistral, SmolLM2 and, with experts, Mixtral.
#include "model/arch/arch.h"

namespace rafter::model {

Result<ModelConfig> read_llama(const ArchKeys& keys) {
    RAFTER_TRY(ModelConfig config, read_common(keys, RopePairing::kInterleaved));
    RAFTER_TRY_VOID(read_experts(keys, config));
    config.tensors.qkv_bias = keys.has_tensor("blk.0.attn_q.bias");
    config.tensors.output_bias = keys.has_tensor("blk.0.attn_output.bias");
    return config;
}

}  // namespace rafter::model
