// The encoders (backend/encoding.h) by instruction set. All give the same bytes.
#pragma once

#include "backend/cpu/isa.h"
#include "backend/encoding.h"

namespace rafter::backend::cpu {

[[nodiscard]] EncodeRows encoder(Isa isa);

// Of F16 and BF16, whatever their alignment.
using DecodeNumbers = void (*)(tensor::DType from, const std::byte* numbers, float* values, std::size_t n);
[[nodiscard]] DecodeNumbers decoder(Isa isa);

}  // namespace rafter::backend::cpu
