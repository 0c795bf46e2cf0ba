// A Hugging Face config.json as a described model: dimensions without weights.
#pragma once

#include <string>
#include <string_view>

#include "base/json_reader.h"
#include "model/described.h"

namespace rafter::model {

struct HfOptions {
    std::string assume;          // plan an unknown model_type as this known one, and say so; empty: refuse it
    bool names_defaults = true;  // says which widths the family's defaults stand in for; the catalog's rows leave them out on purpose
};

// Any decoder of a family that hf/families_*.cpp knows; its row has the defaults of keys that files leave out. A model with several parts
// is read by the config of its text model, and `assumed` says what was left out. An unknown model_type is an error that names the nearest
// known ones; encoders are refused by name.
[[nodiscard]] Result<DescribedModel> read_hf_config(const nlohmann::json& json, std::string_view name, const HfOptions& options = {});

}  // namespace rafter::model
