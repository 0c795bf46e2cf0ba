// Q5_0: 32 weights of 5 bits around zero with one scale, d * (q - 16). 5.5 bits a weight.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct Q5_0 {
    static constexpr DType kDType = DType::kQ5_0;
    static constexpr const char* kName = "Q5_0";
    static constexpr std::uint32_t kGgufType = 6;
    static constexpr int kBlockElements = 32;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = false;

    struct Block {
        std::uint16_t d;      // f16
        std::uint8_t qh[4];   // fifth bits
        std::uint8_t qs[16];  // lower four
    };
    static_assert(sizeof(Block) == 22);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        scale[0] = f16_to_f32(block.d);
        for (int e = 0; e < 32; ++e) {
            q[e] = static_cast<std::int8_t>((nibble_of_32(block.qs, e) | fifth_bit_of_32(block.qh, e)) - 16);
        }
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q5_0>(block, values); }

    // As in Q4_0, the value of the largest magnitude becomes the integer without a positive twin.
    static void encode(const float* values, Block& block) {
        const float d = extreme(values, 32) / -16;
        const float scale = inverse(d);
        int q[32];
        for (int e = 0; e < 32; ++e) q[e] = nearest(values[e] * scale + 16, 0, 31) - 16;
        put(f32_to_f16(d), q, block);
    }

    // q: in -16 .. 15.
    static void put(std::uint16_t d, const int* q, Block& block) {
        block.d = d;
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) {
        int stored[32];
        for (int e = 0; e < 32; ++e) stored[e] = q[e] + 16;
        pack_nibbles_of_32(stored, block.qs);
        pack_fifth_bits_of_32(stored, block.qh);
    }
};

}  // namespace
}  // namespace rafter::tensor
