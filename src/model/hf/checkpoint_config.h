// A checkpoint's config.json as GGUF's metadata keys, and what its tensors need to be translated.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace rafter::model::hf {

struct CheckpointConfig {
    std::string type;          // model_type of the text model: "gemma3_text"
    std::string architecture;  // general.architecture: "gemma3"
    std::uint32_t n_layers = 0;
    std::uint32_t n_heads = 0;
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t n_experts = 0;  // 0: dense
    bool tied_embeddings = false;
    bool qkv_bias = false;
    bool output_bias = false;
    std::vector<std::pair<std::string, std::uint64_t>> counts;  // metadata keys with the architecture's prefix
    std::vector<std::pair<std::string, double>> numbers;
    std::vector<std::pair<std::string, std::string>> texts;
    std::vector<std::pair<std::string, std::vector<float>>> rope_tensors;  // rope_freqs.weight, rope_factors_*.weight
};

// Refuses by name every setting that would change results and that the engine does not compute so.
[[nodiscard]] Result<CheckpointConfig> read_checkpoint_config(const nlohmann::json& json, const std::string& name);

}  // namespace rafter::model::hf
