// What the quantised formats share. Each is integers with a scale, and perhaps a minimum, for every kSubBlock of them:
//     value[e] = scale[e / kSubBlock] * q[e] - min[e / kSubBlock]
// A format says so with unpack(), which gives q (int8), scale and, where kHasMin, min of one block; the rest can be generic. The plain
// types (blocks of one element) have decode() and encode() only. encode() expects finite values that an f16 scale can reach. Linkage is
// internal throughout: see tensor/half.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/half.h"

namespace rafter::tensor {
namespace {

// The product is rounded before the minimum is taken off, as the field's tools do: results agree bit for bit.
template <typename Format>
void decode_unpacked(const typename Format::Block& block, float* values) {
    constexpr int kSubBlocks = Format::kBlockElements / Format::kSubBlock;
    std::int8_t q[Format::kBlockElements];
    float scale[kSubBlocks];
    float min[kSubBlocks];
    Format::unpack(block, q, scale, min);
    for (int e = 0; e < Format::kBlockElements; ++e) {
        values[e] = scale[e / Format::kSubBlock] * static_cast<float>(q[e]);
        if constexpr (Format::kHasMin) values[e] -= min[e / Format::kSubBlock];
    }
}

// The integer in [low, high] nearest to x, ties away from zero. NaN gives low.
[[maybe_unused]] int nearest(float x, int low, int high) {
    if (!(x > static_cast<float>(low))) return low;
    if (x >= static_cast<float>(high)) return high;
    return static_cast<int>(x < 0 ? x - 0.5f : x + 0.5f);
}

[[maybe_unused]] float inverse(float x) { return x == 0 ? 0.0f : 1 / x; }

// The value of the largest magnitude, with its sign; the first of equals.
[[maybe_unused]] float extreme(const float* values, int n) {
    float found = 0;
    for (int i = 0; i < n; ++i) {
        if (__builtin_fabsf(values[i]) > __builtin_fabsf(found)) found = values[i];
    }
    return found;
}

struct Range {
    float min;
    float max;
};

[[maybe_unused]] Range range(const float* values, int n) {
    Range found{values[0], values[0]};
    for (int i = 1; i < n; ++i) {
        if (values[i] < found.min) found.min = values[i];
        if (values[i] > found.max) found.max = values[i];
    }
    return found;
}

// Blocks of 32 keep elements j and j + 16 in the low and high half of byte j.
[[maybe_unused]] int nibble_of_32(const std::uint8_t* qs, int e) { return e < 16 ? qs[e] & 15 : qs[e - 16] >> 4; }

[[maybe_unused]] void pack_nibbles_of_32(const int* q, std::uint8_t* qs) {
    for (int j = 0; j < 16; ++j) qs[j] = static_cast<std::uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
}

// The fifth bits of blocks of 32: bit e of a little-endian word belongs to element e.
[[maybe_unused]] int fifth_bit_of_32(const std::uint8_t* qh, int e) { return ((qh[e / 8] >> (e % 8)) & 1) << 4; }

[[maybe_unused]] void pack_fifth_bits_of_32(const int* q, std::uint8_t* qh) {
    for (int i = 0; i < 4; ++i) qh[i] = 0;
    for (int e = 0; e < 32; ++e) qh[e / 8] = static_cast<std::uint8_t>(qh[e / 8] | ((q[e] >> 4) & 1) << (e % 8));
}

}  // namespace
}  // namespace rafter::tensor
