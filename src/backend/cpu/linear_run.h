// From a task to its kernel: one row a format. Included last in linear_<isa>.cpp.
#pragma once

#include "backend/cpu/linear_f32.h"
#include "backend/cpu/linear_int8.h"
#include "backend/cpu/linear_isa.h"
#include "backend/cpu/linear_quantize.h"
#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/iq4_xs.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q2_k.h"
#include "tensor/formats/q3_k.h"
#include "tensor/formats/q4_0.h"
#include "tensor/formats/q4_1.h"
#include "tensor/formats/q4_k.h"
#include "tensor/formats/q5_0.h"
#include "tensor/formats/q5_1.h"
#include "tensor/formats/q5_k.h"
#include "tensor/formats/q6_k.h"
#include "tensor/formats/q8_0.h"

namespace rafter::backend::cpu {
namespace {

template <typename Format>
bool run_if(const LinearTask& task) {
    if (task.weights.dtype != Format::kDType) return false;
    if (task.encoding == model::Encoding::kF32) {
        f32_linear_quantized<Format>(task);
    } else {
        int8_linear<Format>(task);
    }
    return true;
}

// False for a format that has no row.
template <typename... Formats>
bool run_one_of(const LinearTask& task) {
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
    using namespace tensor;  // NOLINT(google-build-using-namespace): the list below is all formats
    const bool done =
        run_float(task) || run_one_of<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4>(task);
    if (!done) linear_not_possible(task);
}

}  // namespace
}  // namespace rafter::backend::cpu
