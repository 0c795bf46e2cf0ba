// Encoding weights so that they lose little: each block's scale and minimum are searched for, where FormatInfo::encode (tensor/formats)
// goes by the block's extremes alone. Blocks are independent of each other, and every instruction set gives the same bytes.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace rafter::backend {

struct WeightRows {
    const float* values = nullptr;      // [n_rows, n_cols], finite
    const float* importance = nullptr;  // [n_cols], finite and not below zero: what an error in the column counts; null: unknown
    std::size_t n_rows = 0;
    std::size_t n_cols = 0;  // whole blocks of the type
};

// Minimises the sum of importance * (value - decoded)² in each block; where importances are unknown, 1 + value² over the block's mean
// square takes their place. `to`: any type but I32; those without blocks are rounded. A block that needs a
// scale beyond an f16 decodes to numbers that are not finite. out: [n_rows] rows of the type, no alignment needed.
using EncodeRows = void (*)(tensor::DType to, const WeightRows& rows, std::byte* out);

// Of the best instruction set of this machine.
[[nodiscard]] EncodeRows host_encoder();

// n elements of blocks as floats, the same as FormatInfo::decode gives (tensor/formats), sooner where this machine has instructions for it.
void decode_weights(tensor::DType from, const std::byte* blocks, float* values, std::size_t n);

}  // namespace rafter::backend
