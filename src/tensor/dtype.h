// The element types of tensors: a closed set, named as GGUF names them. Sizes and conversions are in tensor/formats/, one file a type.
#pragma once

#include <cstdint>

namespace rafter::tensor {

enum class DType : std::uint8_t {
    kF32,
    kF16,
    kBF16,
    kQ4_0,
    kQ4_1,
    kQ5_0,
    kQ5_1,
    kQ8_0,
    kQ2_K,
    kQ3_K,
    kQ4_K,
    kQ5_K,
    kQ6_K,
    kIQ4_NL,
    kIQ4_XS,
    kMXFP4,
    kI32,  // never in matrices: ids and small tables
};

}  // namespace rafter::tensor
