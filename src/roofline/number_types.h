// Names of number types as people write them: "fp16", "int8", "Q4_K", "q4_k_m", "mxfp4", or plain bits a weight such as "4.5".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hardware/hardware.h"

namespace rafter::roofline {

struct NumberType {
    std::string name;
    double bits = 0.0;         // an element, scales included
    bool is_mixture = false;   // of several types; the bits are a large model's average
    bool keeps_table = false;  // checkpoints of this type leave the embedding's table and the head in 16 bits
};

// Any case. Bits from 0.1 to 64.
[[nodiscard]] std::optional<NumberType> number_type(std::string_view name);
[[nodiscard]] std::vector<std::string> number_type_names();
// Of a KV cache: also "q8" and "q4", this program's own, in heads of a multiple of 32 elements.
[[nodiscard]] std::optional<NumberType> kv_number_type(std::string_view name);
// What a device can multiply: fp32, fp16, bf16, fp8, fp4, int8, int4.
[[nodiscard]] std::optional<hardware::Precision> precision_named(std::string_view name);
// Bytes of an activation held in it.
[[nodiscard]] double bytes_of(hardware::Precision precision);

}  // namespace rafter::roofline
