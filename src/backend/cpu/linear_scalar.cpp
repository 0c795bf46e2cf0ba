// The linear kernels, compiled for scalar: through the generic formats, as the reference for the others.
#include "backend/cpu/vec_bytes_scalar.h"

#include "backend/cpu/linear_run.h"

namespace rafter::backend::cpu {
const LinearKernels kLinearScalar = {.run = run_linear, .quantize = quantize_row};
}
