// Attention with the vectors of vec_scalar.h.
#include "backend/cpu/vec_scalar.h"
namespace rafter::backend::cpu {
static constexpr int kAccumulators = 6;  // vectors that the registers hold beside the operands
}
#include "backend/cpu/attention_kernels.h"
namespace rafter::backend::cpu {
extern const AttentionKernels kAttentionScalar = {attend, merge, finish};
}
