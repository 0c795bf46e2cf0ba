// Element types that are numbers as they stand; all others are quantised in blocks, or are no weights.
#pragma once

#include "tensor/dtype.h"

namespace rafter::tensor {

[[nodiscard]] constexpr bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

}  // namespace rafter::tensor
