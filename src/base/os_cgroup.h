// What the control groups that this process is in allow it: CPU time and memory. Containers and job schedulers limit through them, and
// neither the CPU count nor the size of the machine's memory shows it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace rafter {

struct CgroupLimits {
    std::optional<double> cpus;                     // CPU seconds a second; the tightest on the way up to the root
    std::optional<std::uint64_t> memory_bytes;      // the tightest limit
    std::optional<std::uint64_t> memory_available;  // of that limit: what is neither used nor easily given back
};

// Where the kernel shows them; tests give a folder of their own.
struct CgroupPaths {
    std::filesystem::path self = "/proc/self/cgroup";
    std::filesystem::path mount = "/sys/fs/cgroup";
};

// Reads cgroup v2 and v1. Files that are missing or make no sense count as no limit.
[[nodiscard]] CgroupLimits read_cgroup_limits(const CgroupPaths& paths = {});

}  // namespace rafter
