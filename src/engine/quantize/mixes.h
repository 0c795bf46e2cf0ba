// Mixes of types that people know by name: one type for most matrices, more bits where errors cost more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/tensor_source.h"
#include "tensor/dtype.h"

namespace rafter::engine {

using TensorTypes = std::map<std::string, tensor::DType, std::less<>>;  // of matrices, by name

struct Mix {
    std::string_view name;    // "Q4_K_M"
    tensor::DType base;       // of most matrices
    std::uint32_t file_type;  // general.file_type: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
};
[[nodiscard]] std::span<const Mix> mixes();
[[nodiscard]] const Mix* mix_from_name(std::string_view name);  // any case; null: unknown

// The type of each matrix that a quantiser changes (engine/convert/tensor_types.h). As llama.cpp's llama-quantize chooses them for models
// with the usual parts of a transformer; what takes the place of a type whose blocks do not fit is left to the conversion.
[[nodiscard]] TensorTypes types_of_mix(const Mix& mix, const files::TensorSource& source);

// general.file_type of types that are no mix with a name: what most weights are.
[[nodiscard]] std::uint32_t main_file_type(const files::TensorSource& source, const TensorTypes& types);

// "PATTERN=TYPE": a pattern of a whole name with * and ?, or without them a part of it.
struct TypeRule {
    std::string pattern;
    tensor::DType type = tensor::DType::kF16;
};
[[nodiscard]] Result<TypeRule> parse_type_rule(std::string_view text);

// Sets what the rules name; of several that name a tensor the last one holds. Fails on a rule that names no matrix.
[[nodiscard]] Result<void> apply_rules(std::span<const TypeRule> rules, const files::TensorSource& source, TensorTypes& types);

}  // namespace rafter::engine
