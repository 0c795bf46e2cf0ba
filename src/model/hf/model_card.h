// What the README.md of a Hugging Face repository says of its model in the YAML between its first lines "---": licence, languages and so on
// (https://huggingface.co/docs/hub/model-cards), for GGUF's general.* keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rafter::model::hf {

struct ModelCard {
    std::vector<std::pair<std::string, std::string>> texts;               // GGUF key, value
    std::vector<std::pair<std::string, std::vector<std::string>>> lists;  // GGUF key, values
    std::uint32_t n_base_models = 0;                                      // general.base_model.count
};

// Reads plain and quoted values and lists of them, which is what such files have under these keys; all else is passed over, and so are
// values that are not printable ASCII. Never fails: nothing depends on it.
[[nodiscard]] ModelCard read_model_card(std::string_view markdown);

// "135M", "8x7B": general.size_label of so many weights, n_in_experts of them in n_experts experts (0: dense).
[[nodiscard]] std::string size_label(std::uint64_t n_weights, std::uint64_t n_in_experts, std::uint32_t n_experts);

}  // namespace rafter::model::hf
