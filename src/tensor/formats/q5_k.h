// Q5_K: Q4_K with a fifth bit. 5.5 bits a weight.
#pragma once

#include "tensor/formats/q4_k.h"
#include "tensor/formats/super_blocks.h"

namespace rafter::tensor {
namespace {

struct Q5_K {
    static constexpr DType kDType = DType::kQ5_K;
    static constexpr const char* kName = "Q5_K";
    static constexpr std::uint32_t kGgufType = 13;
    static constexpr int kBlockElements = 256;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = true;

    struct Block {
        std::uint16_t d;     // f16, of the scales
        std::uint16_t dmin;  // f16, of the minimums
        PackedScales scales;
        std::uint8_t qh[32];   // fifth bits: bit e / 32 of byte e % 32
        std::uint8_t qs[128];  // lower four bits, placed as in Q4_K
    };
    static_assert(sizeof(Block) == 176);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* min) {
        const float d = f16_to_f32(block.d);
        const float dmin = f16_to_f32(block.dmin);
        for (int s = 0; s < 8; ++s) {
            scale[s] = d * static_cast<float>(block.scales.scale(s));
            min[s] = dmin * static_cast<float>(block.scales.min(s));
        }
        for (int e = 0; e < 256; ++e) {
            const int low = (block.qs[Q4_K::byte_of(e)] >> Q4_K::shift_of(e)) & 15;
            const int high = (block.qh[e % 32] >> (e / 32)) & 1;
            q[e] = static_cast<std::int8_t>(low | high << 4);
        }
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q5_K>(block, values); }

    static void encode(const float* values, Block& block) {
        AffineSuperBlock<8> fit;
        quantise_affine(values, 31, 63, fit);
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
        for (std::uint8_t& byte : block.qh) byte = 0;
        for (int e = 0; e < 256; ++e) {
            std::uint8_t& low = block.qs[Q4_K::byte_of(e)];
            low = static_cast<std::uint8_t>(low | (q[e] & 15) << Q4_K::shift_of(e));
            block.qh[e % 32] = static_cast<std::uint8_t>(block.qh[e % 32] | q[e] >> 4 << (e / 32));
        }
    }
};

}  // namespace
}  // namespace rafter::tensor
