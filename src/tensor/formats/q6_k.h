// Q6_K: 256 weights of 6 bits around zero; each 16 have a signed 8-bit scale. 6.5625 bits a weight.
#pragma once

#include "tensor/formats/super_blocks.h"

namespace rafter::tensor {
namespace {

struct Q6_K {
    static constexpr DType kDType = DType::kQ6_K;
    static constexpr const char* kName = "Q6_K";
    static constexpr std::uint32_t kGgufType = 14;
    static constexpr int kBlockElements = 256;
    static constexpr int kSubBlock = 16;
    static constexpr bool kHasMin = false;

    struct Block {
        std::uint8_t ql[128];  // lower four bits: elements e and e + 64 of each 128 share a byte
        std::uint8_t qh[64];   // upper two bits: elements e, e + 32, e + 64, e + 96 of each 128 share a byte
        std::int8_t scales[16];
        std::uint16_t d;  // f16
    };
    static_assert(sizeof(Block) == 210);

    static void unpack(const Block& block, std::int8_t* q, float* scale, float* /*min*/) {
        const float d = f16_to_f32(block.d);
        for (int s = 0; s < 16; ++s) scale[s] = d * static_cast<float>(block.scales[s]);
        for (int e = 0; e < 256; ++e) {
            const int low = (block.ql[low_byte_of(e)] >> low_shift_of(e)) & 15;
            const int high = (block.qh[high_byte_of(e)] >> high_shift_of(e)) & 3;
            q[e] = static_cast<std::int8_t>((low | high << 4) - 32);
        }
    }

    static void decode(const Block& block, float* values) { decode_unpacked<Q6_K>(block, values); }

    static void encode(const float* values, Block& block) {
        SymmetricSuperBlock<16> fit;
        fit_symmetric(values, -32, 127, fit);
        int q[256];
        for (int e = 0; e < 256; ++e) q[e] = nearest(values[e] * inverse(fit.sub_scale[e / 16]), -32, 31);
        put(fit.d, fit.scales, q, block);
    }

    // q: in -32 .. 31.
    static void put(std::uint16_t d, const int* scales, const int* q, Block& block) {
        block = {};
        block.d = d;
        for (int s = 0; s < 16; ++s) block.scales[s] = static_cast<std::int8_t>(scales[s]);
        put_codes(q, block);
    }
    static void put_codes(const int* q, Block& block) {
        for (std::uint8_t& byte : block.ql) byte = 0;
        for (std::uint8_t& byte : block.qh) byte = 0;
        for (int e = 0; e < 256; ++e) {
            const int stored = q[e] + 32;
            std::uint8_t& low = block.ql[low_byte_of(e)];
            std::uint8_t& high = block.qh[high_byte_of(e)];
            low = static_cast<std::uint8_t>(low | (stored & 15) << low_shift_of(e));
            high = static_cast<std::uint8_t>(high | stored >> 4 << high_shift_of(e));
        }
    }

  private:
    static constexpr int low_byte_of(int e) { return e / 128 * 64 + e % 64; }
    static constexpr int low_shift_of(int e) { return e / 64 % 2 * 4; }
    static constexpr int high_byte_of(int e) { return e / 128 * 32 + e % 32; }
    static constexpr int high_shift_of(int e) { return e / 32 % 4 * 2; }
};

}  // namespace
}  // namespace rafter::tensor
