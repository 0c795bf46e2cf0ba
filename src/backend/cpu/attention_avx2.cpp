// Attention with the vectors of vec_avx2.h.
#include "backend/cpu/vec_avx2.h"
namespace rafter::backend::cpu {
static constexpr int kAccumulators = 5;  // 8 vectors fit the registers: 6 sums for 6 queries, but 3 queries times 2 tiles need 9
}
#include "backend/cpu/attention_kernels.h"
namespace rafter::backend::cpu {
extern const AttentionKernels kAttentionAvx2 = {attend, merge, finish};
}
