// MXFP4: 32 weights in E2M1 floating point with a power of two as their scale, 2^(e - 128) * M[q]. 4.25 bits a weight.
// https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct MXFP4 {
    static constexpr DType kDType = DType::kMXFP4;
    static constexpr const char* kName = "MXFP4";
    static constexpr std::uint32_t kGgufType = 39;
    static constexpr int kBlockElements = 32;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = false;

    // E2M1's values, doubled to be integers; the scale makes good for it.
    static constexpr std::int8_t kValues[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

    struct Block {
        std::uint8_t e;
        std::uint8_t qs[16];
    };
    static_assert(sizeof(Block) == 17);

    // 2^(e - 128); the two smallest are subnormal floats.
    static constexpr float scale_of(std::uint8_t e) { return __builtin_bit_cast(float, e < 2 ? 0x00200000u << e : (e - 1u) << 23); }

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        scale[0] = scale_of(block.e);
        for (int e = 0; e < 32; ++e) q[e] = kValues[nibble_of_32(block.qs, e)];
    }

    static void decode(const Block& block, float* values) { decode_unpacked<MXFP4>(block, values); }

    // The specification's choice of the scale: the largest magnitude gets E2M1's largest exponent, 2; its 1.5 * 2^2 may be too small by a
    // quarter.
    static void encode(const float* values, Block& block) {
        const auto exponent = static_cast<int>(__builtin_bit_cast(std::uint32_t, extreme(values, 32)) >> 23 & 255u);  // biased by 127
        const auto exponent_of_scale = static_cast<std::uint8_t>(exponent > 2 ? exponent - 2 : 0);
        const float scale = scale_of(exponent_of_scale);
        int q[32];
        for (int e = 0; e < 32; ++e) {
            q[e] = 0;
            for (int candidate = 1; candidate < 16; ++candidate) {
                const float error = __builtin_fabsf(scale * static_cast<float>(kValues[candidate]) - values[e]);
                if (error < __builtin_fabsf(scale * static_cast<float>(kValues[q[e]]) - values[e])) q[e] = candidate;
            }
        }
        put(exponent_of_scale, q, block);
    }

    // q: indices of kValues.
    static void put(std::uint8_t exponent, const int* q, Block& block) {
        block.e = exponent;
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) { pack_nibbles_of_32(q, block.qs); }
};

}  // namespace
}  // namespace rafter::tensor
