// I32: ids and small tables. Decoding gives the nearest float; nothing encodes floats into it.
#pragma once

#include "tensor/formats/blocks.h"

namespace rafter::tensor {
namespace {

struct I32 {
    static constexpr DType kDType = DType::kI32;
    static constexpr const char* kName = "I32";
    static constexpr std::uint32_t kGgufType = 26;
    static constexpr int kBlockElements = 1;

    struct Block {
        std::int32_t value;
    };

    static void decode(const Block& block, float* values) { values[0] = static_cast<float>(block.value); }
};

}  // namespace
}  // namespace rafter::tensor
