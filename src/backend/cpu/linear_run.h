// From a task to its kernel, for every format of tensor/formats/all.h. Included last in linear_<isa>.cpp.
#pragma once

#include "backend/cpu/linear_f32.h"
#include "backend/cpu/linear_int8.h"
#include "backend/cpu/linear_isa.h"
#include "backend/cpu/linear_quantize.h"
#include "tensor/formats/all.h"

namespace rafter::backend::cpu {
namespace {

template <typename Format>
bool run_if(const LinearTask& task) {
    if constexpr (tensor::kIsQuantized<Format>) {
        if (task.weights.dtype != Format::kDType) return false;
        if (task.encoding == model::Encoding::kF32) {
            f32_linear_quantized<Format>(task);
        } else {
            int8_linear<Format>(task);
        }
        return true;
    }
    return false;
}

// False for weights of plain numbers.
template <typename... Formats>
bool run_quantized(const LinearTask& task, tensor::FormatList<Formats...> /*list*/) {
    return (run_if<Formats>(task) || ...);
}

bool run_float(const LinearTask& task) {
    if (task.encoding != model::Encoding::kF32) return false;
    switch (task.weights.dtype) {
        case tensor::DType::kF32:
            f32_linear<LoadF32>(task);
            return true;
        case tensor::DType::kF16:
            f32_linear<LoadF16>(task);
            return true;
        case tensor::DType::kBF16:
            f32_linear<LoadBF16>(task);
            return true;
        default:
            return false;
    }
}

void run_linear(const LinearTask& task) {
    const bool done = run_float(task) || run_quantized(task, tensor::AllFormats());
    if (!done) linear_not_possible(task);
}

}  // namespace
}  // namespace rafter::backend::cpu
