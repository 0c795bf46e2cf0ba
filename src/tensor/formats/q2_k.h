// Q2_K: 256 weights of 2 bits; each 16 have a 4-bit scale and a 4-bit minimum. 2.625 bits a weight.
#pragma once

#include "tensor/formats/super_blocks.h"

namespace rafter::tensor {
namespace {

struct Q2_K {
    static constexpr DType kDType = DType::kQ2_K;
    static constexpr const char* kName = "Q2_K";
    static constexpr std::uint32_t kGgufType = 10;
    static constexpr int kBlockElements = 256;
    static constexpr int kSubBlock = 16;
    static constexpr bool kHasMin = true;

    struct Block {
        std::uint8_t scales[16];  // scale in the low half, minimum in the high
        std::uint8_t qs[64];      // elements e, e + 32, e + 64, e + 96 of each 128 share a byte
        std::uint16_t d;          // f16, of the scales
        std::uint16_t dmin;       // f16, of the minimums
    };
    static_assert(sizeof(Block) == 84);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* min) {
        const float d = f16_to_f32(block.d);
        const float dmin = f16_to_f32(block.dmin);
        for (int s = 0; s < 16; ++s) {
            scale[s] = d * static_cast<float>(block.scales[s] & 15);
            min[s] = dmin * static_cast<float>(block.scales[s] >> 4);
        }
        for (int e = 0; e < 256; ++e) q[e] = static_cast<std::int8_t>((block.qs[byte_of(e)] >> shift_of(e)) & 3);
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q2_K>(block, values); }

    static void encode(const float* values, Block& block) {
        AffineSuperBlock<16> fit;
        quantise_affine(values, 3, 15, fit);
        put(fit, block);
    }

    static void put(const AffineSuperBlock<16>& fit, Block& block) {
        block = {};
        block.d = fit.d;
        block.dmin = fit.dmin;
        for (int s = 0; s < 16; ++s) block.scales[s] = static_cast<std::uint8_t>(fit.scales[s] | fit.mins[s] << 4);
        put_codes(fit.q, block);
    }
    static void put_codes(const int* q, Block& block) {
        for (std::uint8_t& byte : block.qs) byte = 0;
        for (int e = 0; e < 256; ++e) block.qs[byte_of(e)] = static_cast<std::uint8_t>(block.qs[byte_of(e)] | q[e] << shift_of(e));
    }

    // Where the two bits of element e are; Q3_K has them in the same places.
    static constexpr int byte_of(int e) { return e / 128 * 32 + e % 32; }
    static constexpr int shift_of(int e) { return e / 32 % 4 * 2; }
};

}  // namespace
}  // namespace rafter::tensor
