// What the CPU is called and how large its last cache is: the key of a measurement, and what its working set must exceed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace rafter {

[[nodiscard]] std::string cpu_name();  // "AMD EPYC 7763 64-Core Processor"; "unknown CPU" where the system does not say
// The largest cache that this CPU shares with others; none where the system does not say.
[[nodiscard]] std::optional<std::size_t> last_level_cache_bytes();

}  // namespace rafter
