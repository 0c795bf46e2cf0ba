// Q3_K: 256 weights of 3 bits around zero; each 16 have a signed 6-bit scale. 3.4375 bits a weight.
#pragma once

#include "tensor/formats/q2_k.h"
#include "tensor/formats/super_blocks.h"

namespace rafter::tensor {
namespace {

struct Q3_K {
    static constexpr DType kDType = DType::kQ3_K;
    static constexpr const char* kName = "Q3_K";
    static constexpr std::uint32_t kGgufType = 11;
    static constexpr int kBlockElements = 256;
    static constexpr int kSubBlock = 16;
    static constexpr bool kHasMin = false;

    struct Block {
        std::uint8_t hmask[32];   // third bits: bit e / 32 of byte e % 32; where it is not set, 4 is taken off
        std::uint8_t qs[64];      // lower two bits, placed as in Q2_K
        std::uint8_t scales[12];  // low four bits of scales s and s + 8 in byte s; high two of s, s + 4, s + 8, s + 12 in byte 8 + s
        std::uint16_t d;          // f16
    };
    static_assert(sizeof(Block) == 110);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        const float d = f16_to_f32(block.d);
        for (int s = 0; s < 16; ++s) {
            const int low = (block.scales[s % 8] >> (s / 8 * 4)) & 15;
            const int high = (block.scales[8 + s % 4] >> (s / 4 * 2)) & 3;
            scale[s] = d * static_cast<float>((low | high << 4) - 32);
        }
        for (int e = 0; e < 256; ++e) {
            const int low = (block.qs[Q2_K::byte_of(e)] >> Q2_K::shift_of(e)) & 3;
            const int high = (block.hmask[e % 32] >> (e / 32)) & 1;
            q[e] = static_cast<std::int8_t>((low | high << 2) - 4);
        }
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q3_K>(block, values); }

    static void encode(const float* values, Block& block) {
        SymmetricSuperBlock<16> fit;
        fit_symmetric(values, -4, 31, fit);
        int q[256];
        for (int e = 0; e < 256; ++e) q[e] = nearest(values[e] * inverse(fit.sub_scale[e / 16]), -4, 3);
        put(fit.d, fit.scales, q, block);
    }

    // scales: in -32 .. 31; q: in -4 .. 3.
    static void put(std::uint16_t d, const int* scales, const int* q, Block& block) {
        block = {};
        block.d = d;
        for (int s = 0; s < 16; ++s) {
            const int stored = scales[s] + 32;
            block.scales[s % 8] = static_cast<std::uint8_t>(block.scales[s % 8] | (stored & 15) << (s / 8 * 4));
            block.scales[8 + s % 4] = static_cast<std::uint8_t>(block.scales[8 + s % 4] | stored >> 4 << (s / 4 * 2));
        }
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) {
        for (std::uint8_t& byte : block.qs) byte = 0;
        for (std::uint8_t& byte : block.hmask) byte = 0;
        for (int e = 0; e < 256; ++e) {
            const int with_offset = q[e] + 4;
            std::uint8_t& low = block.qs[Q2_K::byte_of(e)];
            low = static_cast<std::uint8_t>(low | (with_offset & 3) << Q2_K::shift_of(e));
            block.hmask[e % 32] = static_cast<std::uint8_t>(block.hmask[e % 32] | with_offset >> 2 << (e / 32));
        }
    }
};

}  // namespace
}  // namespace rafter::tensor
