// IQ4_NL: 32 weights, each one of 16 values that lie closer together near zero, with one scale, d * T[q]. 4.5 bits a weight.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct IQ4_NL {
    static constexpr DType kDType = DType::kIQ4_NL;
    static constexpr const char* kName = "IQ4_NL";
    static constexpr std::uint32_t kGgufType = 20;
    static constexpr int kBlockElements = 32;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = false;

    static constexpr std::int8_t kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    struct Block {
        std::uint16_t d;  // f16
        std::uint8_t qs[16];
    };
    static_assert(sizeof(Block) == 18);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        scale[0] = f16_to_f32(block.d);
        for (int e = 0; e < 32; ++e) q[e] = kValues[nibble_of_32(block.qs, e)];
    }

    static void decode(const Block& block, float* values) { decode_unpacked<IQ4_NL>(block, values); }

    // The value of the largest magnitude becomes -127, the table's.
    static void encode(const float* values, Block& block) {
        const std::uint16_t d = f32_to_f16(extreme(values, 32) / -127);
        const float scale = inverse(f16_to_f32(d));
        int q[32];
        for (int e = 0; e < 32; ++e) q[e] = nearest_index(values[e] * scale);
        put(d, q, block);
    }

    // q: indices of kValues.
    static void put(std::uint16_t d, const int* q, Block& block) {
        block.d = d;
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) { pack_nibbles_of_32(q, block.qs); }

    // The index of the table's value nearest to x; the lower of two as near.
    static int nearest_index(float x) {
        int found = 0;
        while (found < 15 && 2 * x > static_cast<float>(kValues[found] + kValues[found + 1])) ++found;
        return found;
    }
};

}  // namespace
}  // namespace rafter::tensor
