// Error feedback with the vectors of vec_scalar.h.
#include "backend/cpu/vec_scalar.h"
// the vectors come first
#include "backend/cpu/encode/feedback_rows.h"
namespace rafter::backend::cpu {
extern const FeedbackKernels kFeedbackScalar = kFeedbackOfIsa;
}
