// From the keys of a decoder's config to its layers, in the way most families share; what differs is in the family's row.
#pragma once

#include "model/hf/family.h"

namespace rafter::model::hf {

// keys: the file's over the family's defaults.
[[nodiscard]] Result<DescribedModel> read_decoder(const Family& family, Keys& keys, std::string_view name);

// The layer that the common keys give for a kind: for readers that lay out layers themselves. The kind is one of layer_types.
[[nodiscard]] LayerShape layer_of_kind(const Reading& r, const std::string& kind, bool moe);
// Parts for readers.
[[nodiscard]] bool is_full(const std::string& kind);
[[nodiscard]] bool is_state(const std::string& kind);

}  // namespace rafter::model::hf
