// Sampling kernels with the vectors of vec_wide_avx2.h.
#include "backend/cpu/vec_wide_avx2.h"
// the vectors come first
#include "backend/cpu/sampling_kernels.h"
namespace rafter::backend::cpu {
extern const SamplingKernels kSamplingAvx2 = {largest, weigh, gather, share_above, keep_above, race, divergence};
}
