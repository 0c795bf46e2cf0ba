// Linux tells both through files.
#include "base/os_cpu_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace rafter {

std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (!line.starts_with("model name")) continue;
        const std::size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
        if (start != std::string::npos) return line.substr(start);
    }
    return "unknown CPU";
}

std::optional<std::size_t> last_level_cache_bytes() {
    std::optional<std::size_t> largest;
    for (int index = 0; index < 8; ++index) {
        std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
        std::size_t size = 0;
        char unit = 0;
        if (!(file >> size >> unit)) continue;
        if (unit == 'K') size <<= 10U;
        if (unit == 'M') size <<= 20U;
        largest = std::max(largest.value_or(0), size);
    }
    return largest;
}

}  // namespace rafter
