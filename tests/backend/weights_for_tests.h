// Random weights in any format: every bit of every field is random but for the scales' exponents, which are kept finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "tensor/dtype.h"

namespace rafter::tests {

struct ScaleRange {
    int lowest = -8;  // exponents of two; f16 reaches from -24 (subnormal) to 15
    int highest = -1;
};

// Rows of n_elements in the format's own blocks, one after the other.
[[nodiscard]] std::vector<std::byte> random_blocks(tensor::DType dtype, std::size_t n_rows, std::size_t n_elements, std::mt19937& random,
                                                   ScaleRange range = {});

// What a row means, exactly: value[k] = product[k] - min[k], in double.
struct ExactRow {
    std::vector<double> value;
    std::vector<double> magnitude;  // |product| + |min|: what rounding errors are in proportion to
};
[[nodiscard]] ExactRow exact_row(tensor::DType dtype, const std::byte* blocks, std::size_t n_elements);

[[nodiscard]] std::vector<tensor::DType> matrix_formats();     // all that matrices come in
[[nodiscard]] std::vector<tensor::DType> quantized_formats();  // those without F32, F16, BF16

}  // namespace rafter::tests
