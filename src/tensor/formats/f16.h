// F16: IEEE half precision.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct F16 {
    static constexpr DType kDType = DType::kF16;
    static constexpr const char* kName = "F16";
    static constexpr std::uint32_t kGgufType = 1;
    static constexpr int kBlockElements = 1;

    struct Block {
        std::uint16_t bits;
    };

    static void decode(const Block& block, float* values) { values[0] = f16_to_f32(block.bits); }
    static void encode(const float* values, Block& block) { block.bits = f32_to_f16(values[0]); }
};

}  // namespace
}  // namespace rafter::tensor
