// Attention with the vectors of vec_avx512.h.
#include "backend/cpu/vec_avx512.h"
namespace rafter::backend::cpu {
static constexpr int kAccumulators = 12;  // vectors that the registers hold beside the operands
}
#include "backend/cpu/attention_kernels.h"
namespace rafter::backend::cpu {
extern const AttentionKernels kAttentionAvx512 = {attend, merge, finish};
}
