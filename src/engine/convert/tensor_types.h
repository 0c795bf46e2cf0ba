// Which type each tensor of a converted file has, and the number by which general.file_type says so.
#pragma once

#include <cstdint>
#include <optional>

#include "files/tensor_source.h"
#include "tensor/dtype.h"

namespace rafter::engine {

// Whether `--type` and the like apply to a tensor. Vectors, biases, norms, routers, tables of positions and short convolutions do not
// change: they are small, errors there cost much, and llama.cpp computes with them in float32 only.
[[nodiscard]] bool is_converted_matrix(const files::NamedTensor& tensor);

enum class SourceKind {
    kGguf,        // what does not change is copied
    kCheckpoint,  // what does not change, and is of floats, becomes F32, as llama.cpp's converter has it
};
// wanted: none keeps a matrix's type. Where its blocks do not fit a row, model::held_type() says what takes its place.
[[nodiscard]] tensor::DType converted_type(const files::NamedTensor& tensor, std::optional<tensor::DType> wanted, SourceKind kind);

// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, general.file_type: what most matrices are.
[[nodiscard]] std::uint32_t file_type_of(tensor::DType dtype);

}  // namespace rafter::engine
