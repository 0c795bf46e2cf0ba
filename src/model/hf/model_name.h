// What the name of a model says: "Llama-3.2-1B-Instruct" is a Llama-3.2 of size 1B, tuned to instructions. For GGUF's general.* keys, by
// the rules of the gguf package's Metadata.get_model_id_components.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rafter::model::hf {

// Each empty where the name does not say it.
struct ModelNameParts {
    std::string basename, finetune, version, size_label;
};
// n_weights tells sizes from lengths of contexts: "128k" of a model of 7 billion weights is none of its sizes.
[[nodiscard]] ModelNameParts model_name_parts(std::string_view name, std::uint64_t n_weights);

}  // namespace rafter::model::hf
