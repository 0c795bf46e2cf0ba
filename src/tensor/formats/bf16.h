// BF16: the upper half of a float.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct BF16 {
    static constexpr DType kDType = DType::kBF16;
    static constexpr const char* kName = "BF16";
    static constexpr std::uint32_t kGgufType = 30;
    static constexpr int kBlockElements = 1;

    struct Block {
        std::uint16_t bits;
    };

    static void decode(const Block& block, float* values) { values[0] = bf16_to_f32(block.bits); }
    static void encode(const float* values, Block& block) { block.bits = f32_to_bf16(values[0]); }
};

}  // namespace
}  // namespace rafter::tensor
