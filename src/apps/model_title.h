// A model's name for people: "SmolLM2 135M Instruct, Q4_1".
#pragma once

#include <string>

#include "files/tensor_source.h"

namespace rafter::apps {

// The type that the file says, or that most of its weights have: "Q4_K_M"; "" where it has no matrices.
[[nodiscard]] std::string quantization_name(const files::TensorSource& file);
// The file's name where it says the model's size, else general.name; then the quantisation. Printable, on one line.
[[nodiscard]] std::string model_title(const files::TensorSource& file);

}  // namespace rafter::apps
