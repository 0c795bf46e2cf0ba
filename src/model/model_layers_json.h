// "layers" of a model in plain JSON: layers of different kinds, each entry for so many in a row.
#pragma once

#include "base/json_reader.h"
#include "model/described.h"

namespace rafter::model {

// Lays out m.shapes and m.config.layers from the list; where it holds fewer layers than config.n_layers it repeats. What an entry leaves
// out is as the model's own keys say. An entry: "count" (1), "kind" ("full"), "window", "n_heads", "n_kv_heads", "head_dim",
// "value_head_dim", "shares_cache", "d_ff", "experts" (true where the model has any). Kinds:
//   full, sliding, chunked ("window")           attention
//   latent                                      MLA with the model's own "mla"; "n_index_heads", "index_head_dim", "n_selected" add an
//   indexer delta_net                                   "n_key_heads", "n_value_heads", "key_dim", "value_dim", "conv_kernel" mamba
//   "d_inner", "d_state", "dt_rank", "conv_kernel" mamba2                                      "n_heads", "head_dim", "n_groups",
//   "d_state", "conv_kernel" conv                                        "conv_kernel" lightning "n_heads", "head_dim" none feed-forward
//   alone
[[nodiscard]] Result<void> read_layers_json(const nlohmann::json& layers, const std::string& where, DescribedModel& m);

}  // namespace rafter::model
