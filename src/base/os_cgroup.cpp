// Reads cpu.max and memory.max (cgroup v2), or cpu.cfs_quota_us and memory.limit_in_bytes (v1), from the process's group up to the root.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
#include "base/os_cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace rafter {
namespace {

namespace fs = std::filesystem;

// v1 says "no limit" with the largest multiple of a page that an int64 holds.
constexpr std::uint64_t kNoLimitBytes = std::uint64_t{1} << 60U;

std::optional<std::string> first_line(const fs::path& path) {
    std::ifstream in(path);
    std::string line;
    if (!std::getline(in, line)) return std::nullopt;
    return line;
}

template <typename T>
std::optional<T> number_in(const fs::path& path) {
    const auto line = first_line(path);
    if (!line) return std::nullopt;
    std::istringstream in(*line);
    T value{};
    if (!(in >> value)) return std::nullopt;  // "max" ends here too
    return value;
}

// The value of `key` in a file of "key value" lines.
std::uint64_t keyed_number(const fs::path& path, const std::string& key) {
    std::ifstream in(path);
    std::string name;
    std::uint64_t value = 0;
    while (in >> name >> value) {
        if (name == key) return value;
    }
    return 0;
}

template <typename T>
void tighten(std::optional<T>& limit, T value) {
    limit = limit ? std::min(*limit, value) : value;
}

struct Names {
    const char *limit, *used, *reclaimable;
};
constexpr Names kMemoryV2 = {"memory.max", "memory.current", "inactive_file"};
constexpr Names kMemoryV1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

void read_memory(const fs::path& folder, const Names& names, CgroupLimits& limits) {
    const auto limit = number_in<std::uint64_t>(folder / names.limit);
    if (!limit || *limit >= kNoLimitBytes) return;
    tighten(limits.memory_bytes, *limit);
    // Pages of files that nobody used lately are given back before the limit bites.
    const std::uint64_t used = number_in<std::uint64_t>(folder / names.used).value_or(0);
    const std::uint64_t held = used - std::min(used, keyed_number(folder / "memory.stat", names.reclaimable));
    tighten(limits.memory_available, *limit - std::min(*limit, held));
}

void read_cpu_v2(const fs::path& folder, CgroupLimits& limits) {
    const auto line = first_line(folder / "cpu.max");  // "200000 100000" or "max 100000"
    if (!line) return;
    std::istringstream in(*line);
    double quota_us = 0;
    double period_us = 0;
    if (in >> quota_us >> period_us && quota_us > 0 && period_us > 0) tighten(limits.cpus, quota_us / period_us);
}

void read_cpu_v1(const fs::path& folder, CgroupLimits& limits) {
    const double quota_us = number_in<double>(folder / "cpu.cfs_quota_us").value_or(-1);  // -1: none
    const double period_us = number_in<double>(folder / "cpu.cfs_period_us").value_or(0);
    if (quota_us > 0 && period_us > 0) tighten(limits.cpus, quota_us / period_us);
}

// The group's folder and those above it, up to the mount point. In a container the group's path may be the host's, and absent here: then
// only the mount point itself tells.
std::vector<fs::path> folders_up(const fs::path& mount, const std::string& group) {
    std::vector<fs::path> folders;
    fs::path rest = fs::path(group).lexically_normal().relative_path();
    while (!rest.empty() && rest != "." && *rest.begin() != "..") {
        folders.push_back(mount / rest);
        if (!rest.has_parent_path()) break;
        rest = rest.parent_path();
    }
    folders.push_back(mount);
    return folders;
}

}  // namespace

CgroupLimits read_cgroup_limits(const CgroupPaths& paths) {
    CgroupLimits limits;
    std::ifstream in(paths.self);
    // Lines are "number:controllers:path"; v2's is "0::path".
    for (std::string line; std::getline(in, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(second + 1);
        if (controllers.empty()) {
            for (const fs::path& folder : folders_up(paths.mount, group)) {
                read_cpu_v2(folder, limits);
                read_memory(folder, kMemoryV2, limits);
            }
            continue;
        }
        std::istringstream names(controllers);
        for (std::string name; std::getline(names, name, ',');) {
            if (name != "cpu" && name != "memory") continue;
            for (const fs::path& mount : {paths.mount / controllers, paths.mount / name}) {
                for (const fs::path& folder : folders_up(mount, group)) {
                    name == "cpu" ? read_cpu_v1(folder, limits) : read_memory(folder, kMemoryV1, limits);
                }
            }
        }
    }
    return limits;
}

}  // namespace rafter
