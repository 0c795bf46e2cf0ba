// What the vec tests hand to the files compiled for one instruction set, and what they get back.
#pragma once

#include <cstdint>

namespace rafter::tests {

struct VecOperands {
    float a[16], b[16], c[16];  // any
    float small[16];            // magnitudes below 2^31
    std::int32_t i[16], j[16];
    std::uint16_t halves[16];
    std::uint8_t bytes[16];
};

struct VecResult {
    const char* name;
    std::uint32_t lane[16];
};
struct VecResults {
    int n_rows;
    VecResult rows[160];
};

void vec_operations_scalar(const VecOperands& operands, VecResults& results);
void vec_operations_avx2(const VecOperands& operands, VecResults& results);
void vec_operations_avx512(const VecOperands& operands, VecResults& results);

}  // namespace rafter::tests
