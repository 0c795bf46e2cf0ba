// The linear kernels, compiled for avx512: vectors first, then the formats that have vector code, then what is made of both.
#include "backend/cpu/vec_bytes_avx512.h"

#include "backend/cpu/unpack/formats_of_256.h"

#include "backend/cpu/linear_run.h"

namespace rafter::backend::cpu {
const LinearKernels kLinearAvx512 = {.run = run_linear, .quantize = quantize_row};
}
