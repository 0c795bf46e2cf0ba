// Quantising activations: a row of floats to model::QuantizedBlocks. Included after a vec header, in files compiled for one instruction
// set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/workspace.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::int32_t kInfinityBits = 0x7f800000;
// 2^-80: above it 1 / scale is finite, and the product of a scale with the smallest one of any weights is a normal number, moved down or
// not (formats_of_32.h), so that it is the same on every instruction set.
constexpr std::int32_t kTinyBits = (127 - 80) << 23;

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

template <typename Block>
void quantize_blocks(const float* values, std::size_t n_blocks, Block* blocks) {
    constexpr bool kTwoPlanes = sizeof(Block) > sizeof(model::QuantizedBlock);
    constexpr float kMax = kTwoPlanes ? 127 * 128 : 127;
    const I32x16 magnitude = broadcast_int(0x7fffffff);
    for (Block* block = blocks; block < blocks + n_blocks; ++block, values += 32) {
        const F32x16 x[2] = {load(values), load(values + 16)};
        const BlockScale s = block_scale(reduce_max(max(as_int(x[0]) & magnitude, as_int(x[1]) & magnitude)), kMax);
        std::int32_t sum[2];
        block->scale = s.scale;
        for (int i = 0; i < 2; ++i) {
            const I32x16 q = integers(x[i], s.inverse);
            sum[i] = reduce_sum(q);
            block->lower_of_16[i] = -128 * sum[i];
            block->minus_of_16[i] = -(s.scale * static_cast<float>(sum[i]));
            if constexpr (kTwoPlanes) {
                const I32x16 high = shift_right_signed<7>(q + broadcast_int(64));  // so that -64 <= low < 64
                store_i8(block->high + 16 * i, high);
                store_i8(block->low + 16 * i, q - shift_left<7>(high));
            } else {
                store_i8(block->low + 16 * i, q);
            }
        }
        block->lower = block->lower_of_16[0] + block->lower_of_16[1];
        block->minus = -(s.scale * static_cast<float>(sum[0] + sum[1]));
    }
}

void quantize_row(const float* values, std::size_t n, model::Encoding encoding, std::byte* row) {
    if (encoding == model::Encoding::kQ16) {
        quantize_blocks(values, n / 32, reinterpret_cast<model::QuantizedBlock16*>(row));
    } else {
        quantize_blocks(values, n / 32, reinterpret_cast<model::QuantizedBlock*>(row));
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
