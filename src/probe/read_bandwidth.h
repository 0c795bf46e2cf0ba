// How fast this machine's threads can read memory and do nothing else: the roof that decode is measured against.
#pragma once

#include <cstddef>
#include <optional>

#include "base/result.h"
#include "base/thread_pool.h"

namespace rafter::probe {

// The working set to measure with for a model that reads so many bytes a token: the same size when it fits into the last-level cache (its
// weights stay there from token to token), and well above the cache's size when not.
[[nodiscard]] std::size_t working_set_bytes(double model_bytes, std::optional<std::size_t> cache_bytes);

// All threads of the pool stream over their share of a buffer of this size, again and again for about a fifth of a second; the best pass
// counts, since other users of the machine only ever slow one down. Bytes a second. Fails when the buffer cannot be had.
[[nodiscard]] Result<double> measure_read_bandwidth(ThreadPool& pool, std::size_t working_set_bytes);

}  // namespace rafter::probe
