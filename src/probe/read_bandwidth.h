// How fast this machine's threads can read memory and do nothing else: the roof that decode is measured against. Which memory it is follows
// from the working set: what fits into a cache stays there from pass to pass, as a model's weights stay from token to token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/thread_pool.h"

namespace rafter::probe {

struct ReadSpeed {
    double best_bytes_per_s = 0.0;         // of the best pass: other users of the machine only ever slow one down
    double undisturbed_bytes_per_s = 0.0;  // nine passes in ten are slower: what to expect when nothing else runs
    double median_bytes_per_s = 0.0;
    double spread = 0.0;  // between the first and third quartile, as a fraction of the median
    unsigned n_passes = 0;
};

struct ReadOptions {
    unsigned n_threads = 0;     // of the pool's; 0: all
    std::string_view isa = "";  // by its name (backend/backends.h); empty: the machine's best one
    std::int64_t duration_ns = 100'000'000;
};

// The working set to measure with for a model that reads so many bytes a token: the same size, as far as size matters. Beyond eight times
// the last cache nearly nothing stays in it, and a larger buffer would only take longer.
[[nodiscard]] std::size_t working_set_bytes(double model_bytes, std::optional<std::size_t> cache_bytes);

// The threads stream over their shares of a buffer of this size, again and again. Fails when the buffer cannot be allocated.
[[nodiscard]] Result<ReadSpeed> measure_read_bandwidth(ThreadPool& pool, std::size_t working_set_bytes, const ReadOptions& options = {});

}  // namespace rafter::probe
