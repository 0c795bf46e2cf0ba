// The kernels by instruction set: one row each.
#include "backend/cpu/linear.h"

#include "backend/cpu/linear_isa.h"
#include "base/check.h"
#include "tensor/formats/all.h"
#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {
namespace {

template <typename Format>
bool has_scales_of_32(tensor::DType dtype) {
    if constexpr (tensor::kIsQuantized<Format>) return Format::kDType == dtype && Format::kSubBlock == 32;
    return false;
}
template <typename... Formats>
bool any_has_scales_of_32(tensor::DType dtype, tensor::FormatList<Formats...> /*list*/) {
    return (has_scales_of_32<Formats>(dtype) || ...);
}

}  // namespace

bool has_tile_kernel(tensor::DType weights, model::Encoding input) {
    return input != model::Encoding::kF32 && any_has_scales_of_32(weights, tensor::AllFormats());
}

const LinearKernels& linear_kernels(Isa isa) {
    switch (isa) {
        case Isa::kAvx2:
            return kLinearAvx2;
        case Isa::kAvx512:
            return kLinearAvx512;
        case Isa::kAmx:
            return kLinearAmx;
        case Isa::kScalar:
            break;
    }
    return kLinearScalar;
}

void linear_not_possible(const LinearTask& task) {
    check_failed(__FILE__, __LINE__, "linear_kernels(isa).run",
                 fmt::format("no kernel for weights of {} and inputs of encoding {}", tensor::format_of(task.weights.dtype).name,
                             static_cast<int>(task.encoding)));
}

}  // namespace rafter::backend::cpu
