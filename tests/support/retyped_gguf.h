// A copy of a GGUF file with other number types: what a converter that uses the formats' reference encoders would write.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "files/gguf.h"

namespace rafter::model {

// type_of: of each tensor of the copy. Where it is another than the file's, the tensor is decoded and encoded again.
[[nodiscard]] std::vector<std::byte> retyped_gguf(const files::GgufFile& file,
                                                  const std::function<tensor::DType(const files::NamedTensor&)>& type_of);

}  // namespace rafter::model
