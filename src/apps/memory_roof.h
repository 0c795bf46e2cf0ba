// The memory roof that a run is held against: what this machine's threads can read a second from where the model's weights lie.
#pragma once

#include <optional>
#include <string>

#include "apps/session.h"

namespace rafter::apps {

struct MemoryRoof {
    double bytes_per_s = 0.0;
    std::string level;  // where so much data lies: "L2 cache", "L3 cache", "memory"
};

// Measured now, in a quarter of a second, with this session's threads over as much data as a step reads. On a shared machine one moment is
// slower than another, so the best of the last hour counts: those are kept in the cache folder. None when it cannot be measured.
[[nodiscard]] std::optional<MemoryRoof> memory_roof(const Environment& environment, Session& session, double bytes_per_step);

// What to say of a rate of reading beside the roof: "58% of the 12.6 GB/s that memory gives here"; above the roof, that one of the two
// numbers must be wrong.
[[nodiscard]] std::string beside_roof(double read_bytes_per_s, const MemoryRoof& roof);
// Why a rate above the roof is no triumph; none below it.
[[nodiscard]] std::optional<std::string> above_roof(double read_bytes_per_s, const MemoryRoof& roof);

}  // namespace rafter::apps
