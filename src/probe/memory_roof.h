// The memory roof that a run is compared with: how fast this machine's threads can read from where the model's weights lie.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/thread_pool.h"

namespace rafter::probe {

struct MemoryRoof {
    double bytes_per_s = 0.0;
    double bytes_per_s_now = 0.0;  // of the last measurement alone
    std::string level;             // where a working set of this size lies: "L2 cache", "L3 cache", "memory"
};

// Measures for a quarter of a second with the pool's threads over as much data as a step reads. On a shared machine one moment is slower
// than another, so the best of the last hour counts: measurements are kept in bandwidth.json in `folder` (empty: none is kept). None when
// the memory to measure with cannot be had.
[[nodiscard]] std::optional<MemoryRoof> measure_memory_roof(const std::filesystem::path& folder, ThreadPool& pool, double bytes_per_step);

// A rate of reading compared with the roof: "58% of 12.6 GB/s measured (memory)", "(fits in the L3 cache)"; above the roof, that one of the
// two numbers must be wrong.
[[nodiscard]] std::string compared_with_roof(double read_bytes_per_s, const MemoryRoof& roof);
// Why a rate above the roof is a measuring error; none for a rate below it.
[[nodiscard]] std::optional<std::string> above_roof(double read_bytes_per_s, const MemoryRoof& roof);

}  // namespace rafter::probe
