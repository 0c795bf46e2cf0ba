// A Hugging Face config.json as a described model: dimensions without weights.
#pragma once

#include <string_view>

#include "base/json_reader.h"
#include "model/described.h"

namespace rafter::model {

// Any decoder whose config uses the common keys (llama and its kin, qwen, gemma, phi, gpt-2, opt, falcon, deepseek, gpt-oss, ...). A
// model with several parts is priced by its text_config.
[[nodiscard]] Result<DescribedModel> read_hf_config(const nlohmann::json& json, std::string_view name);

}  // namespace rafter::model
