// By names, as GGUF has them: a file of an architecture that the engine does not run is converted too.
#include "engine/convert/tensor_types.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "model/held_types.h"

namespace rafter::engine {
namespace {

using tensor::DType;

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

}  // namespace

bool is_converted_matrix(const files::NamedTensor& tensor) {
    constexpr std::string_view kWeight = ".weight";
    constexpr std::string_view kKept[] = {"ffn_gate_inp", "ffn_gate_inp_shexp", "position_embd",
                                          "token_types",  "ssm_conv1d",         "shortconv.conv"};
    std::string_view name = tensor.name;
    if (tensor.shape.size() < 2 || tensor.dtype == DType::kI32 || !name.ends_with(kWeight)) return false;
    name.remove_suffix(kWeight.size());
    if (name.ends_with("_norm")) return false;
    return std::ranges::none_of(kKept, [name](std::string_view kept) { return name.ends_with(kept); });
}

DType converted_type(const files::NamedTensor& tensor, std::optional<DType> wanted, SourceKind kind) {
    if (!is_converted_matrix(tensor)) return kind == SourceKind::kCheckpoint && is_float(tensor.dtype) ? DType::kF32 : tensor.dtype;
    const std::uint64_t n_cols = tensor.shape.back();
    if (!wanted || n_cols > std::numeric_limits<std::uint32_t>::max()) return tensor.dtype;
    return model::held_type(*wanted, static_cast<std::uint32_t>(n_cols));
}

std::uint32_t file_type_of(DType dtype) {
    switch (dtype) {
        case DType::kF32:
        case DType::kI32:
            return 0;
        case DType::kF16:
            return 1;
        case DType::kQ4_0:
            return 2;
        case DType::kQ4_1:
            return 3;
        case DType::kQ8_0:
            return 7;
        case DType::kQ5_0:
            return 8;
        case DType::kQ5_1:
            return 9;
        case DType::kQ2_K:
            return 10;
        case DType::kQ3_K:
            return 11;  // the plain one of three mixtures, "S"; so below
        case DType::kQ4_K:
            return 14;
        case DType::kQ5_K:
            return 16;
        case DType::kQ6_K:
            return 18;
        case DType::kIQ4_NL:
            return 25;
        case DType::kIQ4_XS:
            return 30;
        case DType::kBF16:
            return 32;
        case DType::kMXFP4:
            return 38;
    }
    return 0;
}

}  // namespace rafter::engine
