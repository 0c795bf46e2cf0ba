// Attention with the vectors of vec_avx2.h.
#include "backend/cpu/vec_avx2.h"
namespace rafter::backend::cpu {
static constexpr int kVectors = 8;             // that the registers hold
static constexpr std::uint32_t kTogether = 6;  // queries a loop
}  // namespace rafter::backend::cpu
#include "backend/cpu/attention_kernels.h"
namespace rafter::backend::cpu {
extern const AttentionKernels kAttentionAvx2 = {attend, merge, finish, scores_of_piece, softmax_of_row, values_of_piece};
}
