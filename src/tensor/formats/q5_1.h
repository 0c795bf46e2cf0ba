// Q5_1: 32 weights of 5 bits above a minimum, d * q + m. 6 bits a weight.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct Q5_1 {
    static constexpr DType kDType = DType::kQ5_1;
    static constexpr const char* kName = "Q5_1";
    static constexpr std::uint32_t kGgufType = 7;
    static constexpr int kBlockElements = 32;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = true;

    struct Block {
        std::uint16_t d;      // f16
        std::uint16_t m;      // f16, added
        std::uint8_t qh[4];   // fifth bits
        std::uint8_t qs[16];  // lower four
    };
    static_assert(sizeof(Block) == 24);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* min) {
        scale[0] = f16_to_f32(block.d);
        min[0] = -f16_to_f32(block.m);
        for (int e = 0; e < 32; ++e) q[e] = static_cast<std::int8_t>(nibble_of_32(block.qs, e) | fifth_bit_of_32(block.qh, e));
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q5_1>(block, values); }

    static void encode(const float* values, Block& block) {
        const Range r = range(values, 32);
        const float d = (r.max - r.min) / 31;
        const float scale = inverse(d);
        int q[32];
        for (int e = 0; e < 32; ++e) q[e] = nearest((values[e] - r.min) * scale, 0, 31);
        put(f32_to_f16(d), f32_to_f16(r.min), q, block);
    }

    static void put(std::uint16_t d, std::uint16_t m, const int* q, Block& block) {
        block.d = d;
        block.m = m;
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) {
        pack_nibbles_of_32(q, block.qs);
        pack_fifth_bits_of_32(q, block.qh);
    }
};

}  // namespace
}  // namespace rafter::tensor
