// The monotonic clock, in nanoseconds: for timings and deadlines, never for the time of day. About 25 ns a call.
#pragma once

#include <chrono>
#include <cstdint>

namespace rafter {

[[nodiscard]] inline std::int64_t monotonic_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace rafter
