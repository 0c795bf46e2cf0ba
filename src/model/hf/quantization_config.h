// The quantization_config of a checkpoint: which modules have which type, with scales and zeros.
#pragma once

#include "base/json_reader.h"
#include "model/described.h"

namespace rafter::model::hf {

// Sets quantization, weight_bits and weight_type of the model; what is not known goes to `assumed`. own_type: of modules left alone.
[[nodiscard]] Result<void> read_quantization(const nlohmann::json& config, std::string_view name, DescribedModel& model);

}  // namespace rafter::model::hf
