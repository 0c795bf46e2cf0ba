// Sampling kernels with the vectors of vec_wide_scalar.h.
#include "backend/cpu/vec_wide_scalar.h"
// the vectors come first
#include "backend/cpu/sampling_kernels.h"
namespace rafter::backend::cpu {
extern const SamplingKernels kSamplingScalar = {largest, weigh, gather, share_above, keep_above, race, divergence};
}
