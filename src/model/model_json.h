// Plain dimensions in JSON, for models that exist on paper: `rafter plan --model-json FILE`.
#pragma once

#include <string_view>

#include "base/json_reader.h"
#include "model/described.h"

namespace rafter::model {

// Keys: n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, n_vocab, n_context, tied_embeddings, gated_ffn, sliding_window,
// sliding_window_pattern, n_experts, n_experts_per_token, d_ff_expert, d_ff_shared, n_dense_layers, mla {kv_lora_rank, rope_head_dim,
// nope_head_dim, value_head_dim, q_lora_rank}, parameters, kv_bytes_per_token, weight_bits, name, layers (model_layers_json.h). Needed:
// n_layers and d_model, or parameters alone; what is missing is taken as the classic transformer has it (d_ff = 4 d_model without a gate,
// heads of 128 together as wide as d_model, no vocabulary), and a note says what was assumed of the layers.
[[nodiscard]] Result<DescribedModel> read_model_json(const nlohmann::json& json, std::string_view name);

}  // namespace rafter::model
