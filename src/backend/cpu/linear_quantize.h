// Quantising activations: a row of floats to a model::QuantizedRow. Included after a vec header, in files compiled for one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/workspace.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::int32_t kInfinityBits = 0x7f800000;
constexpr std::int32_t kTinyBits = (127 - 100) << 23;  // 2^-100: above it, 1 / scale is finite

struct BlockScale {
    float scale;
    float inverse;
};

// Of a block whose largest magnitude has these bits. Magnitudes compare as their bits do, with NaN above all.
RAFTER_VEC BlockScale block_scale(std::int32_t largest_bits, float most) {
    if (largest_bits < kTinyBits) return {0.0F, 0.0F};
    if (largest_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0F};
    const auto largest = __builtin_bit_cast(float, largest_bits);
    return {largest / most, most / largest};
}

// The integers of 16 values. Without a finite scale they are zero whatever the values are (0 * infinity would not be).
RAFTER_VEC I32x16 integers(F32x16 values, float inverse) {
    return inverse == 0.0F ? broadcast_int(0) : to_int(values * broadcast(inverse));
}

template <bool kTwoPlanes>
void quantize_blocks(const float* values, std::size_t n, std::byte* row, model::QuantizedRow at) {
    auto* high = reinterpret_cast<std::int8_t*>(row + at.high);
    auto* low = reinterpret_cast<std::int8_t*>(row + at.low);
    auto* scale = reinterpret_cast<float*>(row + at.scale);
    auto* sum = reinterpret_cast<std::int32_t*>(row + at.sum);
    auto* sum_of_32 = reinterpret_cast<std::int32_t*>(row + at.sum_of_32);
    auto* minus = reinterpret_cast<float*>(row + at.minus);
    auto* minus_of_32 = reinterpret_cast<float*>(row + at.minus_of_32);
    constexpr float kMost = kTwoPlanes ? 127 * 128 : 127;
    const I32x16 magnitude = broadcast_int(0x7fffffff);
    for (std::size_t k = 0; k < n; k += 32) {
        const F32x16 x[2] = {load(values + k), load(values + k + 16)};
        const BlockScale s = block_scale(reduce_max(max(as_int(x[0]) & magnitude, as_int(x[1]) & magnitude)), kMost);
        scale[k / 32] = s.scale;
        for (std::size_t i = 0; i < 2; ++i) {
            const I32x16 q = integers(x[i], s.inverse);
            sum[k / 16 + i] = reduce_sum(q);
            minus[k / 16 + i] = -(s.scale * static_cast<float>(sum[k / 16 + i]));
            if constexpr (kTwoPlanes) {
                const I32x16 h = shift_right_signed<7>(q + broadcast_int(64));  // so that -64 <= low < 64
                store_i8(high + k + 16 * i, h);
                store_i8(low + k + 16 * i, q - shift_left<7>(h));
            } else {
                store_i8(low + k + 16 * i, q);
            }
        }
        sum_of_32[k / 32] = sum[k / 16] + sum[k / 16 + 1];
        minus_of_32[k / 32] = -(s.scale * static_cast<float>(sum_of_32[k / 32]));
    }
}

void quantize_row(const float* values, std::size_t n, model::Encoding encoding, std::byte* row) {
    const model::QuantizedRow at = model::quantized_row(encoding, n);
    if (encoding == model::Encoding::kQ16) {
        quantize_blocks<true>(values, n, row, at);
    } else {
        quantize_blocks<false>(values, n, row, at);
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
