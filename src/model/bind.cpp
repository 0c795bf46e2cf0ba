// Binding: every weight of a program finds its tensor, in the shape and a type that the program can use.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "model/model_file.h"
#include "tensor/float_types.h"
#include "tensor/formats/formats.h"

namespace rafter::model {
namespace {

std::vector<std::uint64_t> shape_of(const Weight& w) {
    switch (w.kind) {
        case WeightKind::kMatrix:
        case WeightKind::kEmbedding:
            return {w.n_source_rows, w.n_cols};
        case WeightKind::kExperts:
            return {w.n_experts, w.n_source_rows, w.n_cols};
        case WeightKind::kVectors:
            return {w.n_experts, w.n_cols};
        case WeightKind::kVector:
            return {w.n_cols};
    }
    return {};
}

// Trailing dimensions of 1 are written by some tools and left out by others.
std::vector<std::uint64_t> without_outer_ones(std::vector<std::uint64_t> shape, std::size_t n_dims) {
    while (shape.size() > n_dims && shape.front() == 1) shape.erase(shape.begin());
    return shape;
}

}  // namespace

Result<Program> bind(Program program, const files::TensorSource& source) {
    for (Weight& w : program.weights) {
        const files::NamedTensor* tensor = source.find_tensor(w.tensor);
        const std::vector<std::uint64_t> expected = shape_of(w);
        if (tensor == nullptr) return bad_input("{}: expected a tensor of [{}], found no such tensor", w.tensor, fmt::join(expected, ", "));
        if (without_outer_ones(tensor->shape, expected.size()) != expected) {
            return bad_input("{}: expected [{}], found [{}]", w.tensor, fmt::join(expected, ", "), fmt::join(tensor->shape, ", "));
        }
        const bool is_vector = w.kind == WeightKind::kVector || w.kind == WeightKind::kVectors;
        if (tensor->dtype == tensor::DType::kI32 || (is_vector && !tensor::is_float(tensor->dtype))) {
            return bad_input("{}: expected type {}, found {}", w.tensor, is_vector ? "F32, F16 or BF16" : "a number format for weights",
                             tensor::format_of(tensor->dtype).name);
        }
        w.dtype = w.source_dtype = tensor->dtype;
    }
    return program;
}

const files::NamedTensor& tensor_of(const Weight& weight, const files::TensorSource& source) {
    const files::NamedTensor* tensor = source.find_tensor(weight.tensor);
    RAFTER_CHECK(tensor != nullptr && tensor->dtype == weight.source_dtype, "{}", weight.tensor);
    return *tensor;
}

}  // namespace rafter::model
