// Error feedback with the vectors of vec_avx512.h.
#include "backend/cpu/vec_avx512.h"
// the vectors come first
#include "backend/cpu/encode/feedback_rows.h"
namespace rafter::backend::cpu {
extern const FeedbackKernels kFeedbackAvx512 = kFeedbackOfIsa;
}
