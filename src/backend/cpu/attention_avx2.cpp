// Attention with the vectors of vec_avx2.h.
#include "backend/cpu/vec_avx2.h"
namespace rafter::backend::cpu {
static constexpr int kAccumulators = 6;  // vectors that the registers hold beside the operands
}
#include "backend/cpu/attention_kernels.h"
namespace rafter::backend::cpu {
extern const AttentionKernels kAttentionAvx2 = {attend, merge, finish};
}
