// What linear_<isa>.cpp gives linear.cpp.
#pragma once

#include "backend/cpu/linear.h"

namespace rafter::backend::cpu {

extern const LinearKernels kLinearScalar;
extern const LinearKernels kLinearAvx2;
extern const LinearKernels kLinearAvx512;
extern const LinearKernels kLinearAmx;

// Aborts, saying which weights and inputs were to be multiplied. Outside of the kernels' files, because formatting is made of templates.
[[noreturn]] void linear_not_possible(const LinearTask& task);

}  // namespace rafter::backend::cpu
