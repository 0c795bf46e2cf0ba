// Attention with the vectors of vec_avx512.h.
#include "backend/cpu/vec_avx512.h"
namespace rafter::backend::cpu {
static constexpr int kVectors = 32;             // that the registers hold
static constexpr std::uint32_t kTogether = 12;  // queries a loop
}  // namespace rafter::backend::cpu
#include "backend/cpu/attention_kernels.h"
namespace rafter::backend::cpu {
extern const AttentionKernels kAttentionAvx512 = {attend, merge, finish, scores_of_piece, softmax_of_row, values_of_piece};
}
