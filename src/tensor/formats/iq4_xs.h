// IQ4_XS: 256 weights of IQ4_NL's 16 values; each 32 have a signed 6-bit scale. 4.25 bits a weight.
#pragma once

#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/super_blocks.h"

namespace rafter::tensor {
namespace {

struct IQ4_XS {
    static constexpr DType kDType = DType::kIQ4_XS;
    static constexpr const char* kName = "IQ4_XS";
    static constexpr std::uint32_t kGgufType = 23;
    static constexpr int kBlockElements = 256;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = false;

    struct Block {
        std::uint16_t d;           // f16
        std::uint8_t scales_h[2];  // upper two bits of the scales, scale 0 lowest
        std::uint8_t scales_l[4];  // lower four
        std::uint8_t qs[8][16];    // a row a sub-block, in the order of IQ4_NL
    };
    static_assert(sizeof(Block) == 136);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        const float d = f16_to_f32(block.d);
        for (int s = 0; s < 8; ++s) {
            const int low = (block.scales_l[s / 2] >> (s % 2 * 4)) & 15;
            const int high = (block.scales_h[s / 4] >> (s % 4 * 2)) & 3;
            scale[s] = d * static_cast<float>((low | high << 4) - 32);
        }
        for (int e = 0; e < 256; ++e) q[e] = IQ4_NL::kValues[nibble_of_32(block.qs[e / 32], e % 32)];
    }

    static void decode(const Block& block, float* values) { decode_unpacked<IQ4_XS>(block, values); }

    static void encode(const float* values, Block& block) {
        SymmetricSuperBlock<8> fit;
        fit_symmetric(values, -127, 31, fit);
        int q[256];
        for (int e = 0; e < 256; ++e) q[e] = IQ4_NL::nearest_index(values[e] * inverse(fit.sub_scale[e / 32]));
        put(fit.d, fit.scales, q, block);
    }

    // scales: in -32 .. 31; q: indices of IQ4_NL::kValues.
    static void put(std::uint16_t d, const int* scales, const int* q, Block& block) {
        block = {};
        block.d = d;
        for (int s = 0; s < 8; ++s) {
            const int stored = scales[s] + 32;
            block.scales_l[s / 2] = static_cast<std::uint8_t>(block.scales_l[s / 2] | (stored & 15) << (s % 2 * 4));
            block.scales_h[s / 4] = static_cast<std::uint8_t>(block.scales_h[s / 4] | stored >> 4 << (s % 4 * 2));
        }
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) {
        for (int s = 0; s < 8; ++s) pack_nibbles_of_32(q + s * 32, block.qs[s]);
    }
};

}  // namespace
}  // namespace rafter::tensor
