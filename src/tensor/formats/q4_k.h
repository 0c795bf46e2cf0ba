// Q4_K: 256 weights of 4 bits; each 32 have a 6-bit scale and a 6-bit minimum. 4.5 bits a weight.
#pragma once

#include "tensor/formats/super_blocks.h"

namespace rafter::tensor {
namespace {

// The eight 6-bit scales and minimums of Q4_K and Q5_K, packed into 12 bytes: those of sub-blocks 0 to 3 in the low six bits of bytes s and
// s + 4, whose top two bits are the top of those of sub-blocks 4 to 7, whose low four bits share byte s + 8.
struct PackedScales {
    std::uint8_t bytes[12];

    [[nodiscard]] int scale(int s) const { return s < 4 ? bytes[s] & 63 : (bytes[s + 4] & 15) | bytes[s - 4] >> 6 << 4; }
    [[nodiscard]] int min(int s) const { return s < 4 ? bytes[s + 4] & 63 : bytes[s + 4] >> 4 | bytes[s] >> 6 << 4; }

    void set(const int* scales, const int* mins) {
        for (int s = 0; s < 4; ++s) {
            bytes[s] = static_cast<std::uint8_t>(scales[s] | scales[s + 4] >> 4 << 6);
            bytes[s + 4] = static_cast<std::uint8_t>(mins[s] | mins[s + 4] >> 4 << 6);
            bytes[s + 8] = static_cast<std::uint8_t>((scales[s + 4] & 15) | (mins[s + 4] & 15) << 4);
        }
    }
};

struct Q4_K {
    static constexpr DType kDType = DType::kQ4_K;
    static constexpr const char* kName = "Q4_K";
    static constexpr std::uint32_t kGgufType = 12;
    static constexpr int kBlockElements = 256;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = true;

    struct Block {
        std::uint16_t d;     // f16, of the scales
        std::uint16_t dmin;  // f16, of the minimums
        PackedScales scales;
        std::uint8_t qs[128];  // elements e and e + 32 of each 64 share a byte
    };
    static_assert(sizeof(Block) == 144);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* min) {
        const float d = f16_to_f32(block.d);
        const float dmin = f16_to_f32(block.dmin);
        for (int s = 0; s < 8; ++s) {
            scale[s] = d * static_cast<float>(block.scales.scale(s));
            min[s] = dmin * static_cast<float>(block.scales.min(s));
        }
        for (int e = 0; e < 256; ++e) q[e] = static_cast<std::int8_t>((block.qs[byte_of(e)] >> shift_of(e)) & 15);
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q4_K>(block, values); }

    static void encode(const float* values, Block& block) {
        AffineSuperBlock<8> fit;
        quantise_affine(values, 15, 63, fit);
        put(fit, block);
    }

    static void put(const AffineSuperBlock<8>& fit, Block& block) {
        block = {};
        block.d = fit.d;
        block.dmin = fit.dmin;
        block.scales.set(fit.scales, fit.mins);
        put_codes(fit.q, block);
    }
    static void put_codes(const int* q, Block& block) {
        for (std::uint8_t& byte : block.qs) byte = 0;
        for (int e = 0; e < 256; ++e) block.qs[byte_of(e)] = static_cast<std::uint8_t>(block.qs[byte_of(e)] | q[e] << shift_of(e));
    }

    // Where the four low bits of element e are; Q5_K has them in the same places.
    static constexpr int byte_of(int e) { return e / 64 * 32 + e % 32; }
    static constexpr int shift_of(int e) { return e / 32 % 2 * 4; }
};

}  // namespace
}  // namespace rafter::tensor
