// Q8_0: 32 weights of 8 bits with one scale, d * q. 8.5 bits a weight.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct Q8_0 {
    static constexpr DType kDType = DType::kQ8_0;
    static constexpr const char* kName = "Q8_0";
    static constexpr std::uint32_t kGgufType = 8;
    static constexpr int kBlockElements = 32;
    static constexpr int kSubBlock = 32;
    static constexpr bool kHasMin = false;

    struct Block {
        std::uint16_t d;  // f16
        std::int8_t qs[32];
    };
    static_assert(sizeof(Block) == 34);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        scale[0] = f16_to_f32(block.d);
        for (int e = 0; e < 32; ++e) q[e] = block.qs[e];
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q8_0>(block, values); }

    // Symmetric: -128 is never written.
    static void encode(const float* values, Block& block) {
        const float d = __builtin_fabsf(extreme(values, 32)) / 127;
        const float scale = inverse(d);
        int q[32];
        for (int e = 0; e < 32; ++e) q[e] = nearest(values[e] * scale, -127, 127);
        put(f32_to_f16(d), q, block);
    }

    static void put(std::uint16_t d, const int* q, Block& block) {
        block.d = d;
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) {
        for (int e = 0; e < 32; ++e) block.qs[e] = static_cast<std::int8_t>(q[e]);
    }
};

}  // namespace
}  // namespace rafter::tensor
