// What the CPU is called and how large its caches are: the key of a measurement, and which memory a working set lies in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace rafter {

[[nodiscard]] std::string cpu_name();  // "AMD EPYC 7763 64-Core Processor"; "unknown CPU" where the system does not say

// A cache that holds data: one of the first CPU's.
struct CacheLevel {
    unsigned level = 1;  // 1 is the nearest
    std::size_t size_bytes = 0;
    bool shared = false;  // by several CPUs: not each thread has one
};
// The nearest first; empty where the system does not say.
[[nodiscard]] std::vector<CacheLevel> cache_levels();

// The largest cache that this CPU shares with others; none where the system does not say.
[[nodiscard]] std::optional<std::size_t> last_level_cache_bytes();

}  // namespace rafter
