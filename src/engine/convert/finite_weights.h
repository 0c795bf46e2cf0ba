// The search of a whole source for weights that are no finite numbers: before a model is measured on a text, whose results such weights
// would spoil without saying where they are.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/thread_pool.h"
#include "files/tensor_source.h"

namespace rafter::engine {

[[nodiscard]] Error not_finite(const files::TensorSource& source, const files::NamedTensor& tensor, std::uint64_t element);

// Fails with the first such weight, in the order of the tensors. Reads everything once.
[[nodiscard]] Result<void> check_finite_weights(const files::TensorSource& source, ThreadPool& pool);

}  // namespace rafter::engine
