// F32: plain floats.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct F32 {
    static constexpr DType kDType = DType::kF32;
    static constexpr const char* kName = "F32";
    static constexpr std::uint32_t kGgufType = 0;
    static constexpr int kBlockElements = 1;

    struct Block {
        float value;
    };

    static void decode(const Block& block, float* values) { values[0] = block.value; }
    static void encode(const float* values, Block& block) { block.value = values[0]; }
};

}  // namespace
}  // namespace rafter::tensor
