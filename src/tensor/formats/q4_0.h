// Q4_0: 32 weights of 4 bits around zero with one scale, d * (q - 8). 4.5 bits a weight.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct Q4_0 {
    static constexpr DType kDType = DType::kQ4_0;
    static constexpr const char* kName = "Q4_0";
    static constexpr std::uint32_t kGgufType = 2;
    static constexpr int kBlockElements = 32;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = false;

    struct Block {
        std::uint16_t d;  // f16
        std::uint8_t qs[16];
    };
    static_assert(sizeof(Block) == 18);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        scale[0] = f16_to_f32(block.d);
        for (int e = 0; e < 32; ++e) q[e] = static_cast<std::int8_t>(nibble_of_32(block.qs, e) - 8);
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q4_0>(block, values); }

    // The value of the largest magnitude becomes -8, the integer that has no positive twin.
    static void encode(const float* values, Block& block) {
        const float d = extreme(values, 32) / -8;
        const float scale = inverse(d);
        int q[32];
        for (int e = 0; e < 32; ++e) q[e] = nearest(values[e] * scale + 8, 0, 15) - 8;
        put(f32_to_f16(d), q, block);
    }

    // q: in -8 .. 7.
    static void put(std::uint16_t d, const int* q, Block& block) {
        block.d = d;
        put_codes(q, block);
    }
    // Scales stay as they are: so in all formats.
    static void put_codes(const int* q, Block& block) {
        int stored[32];
        for (int e = 0; e < 32; ++e) stored[e] = q[e] + 8;
        pack_nibbles_of_32(stored, block.qs);
    }
};

}  // namespace
}  // namespace rafter::tensor
