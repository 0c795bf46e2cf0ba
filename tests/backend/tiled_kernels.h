// The tiled kernels on the model of the tiles, each compiled for one instruction set's vectors.
#pragma once

#include "backend/cpu/linear.h"

namespace rafter::tests {

// What tiles do not do is left to `vectors`.
void tiled_scalar(const backend::cpu::LinearTask& task, const backend::cpu::LinearKernels& vectors);
void tiled_avx2(const backend::cpu::LinearTask& task, const backend::cpu::LinearKernels& vectors);
void tiled_avx512(const backend::cpu::LinearTask& task, const backend::cpu::LinearKernels& vectors);

}  // namespace rafter::tests
