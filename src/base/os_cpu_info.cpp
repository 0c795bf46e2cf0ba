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

std::vector<CacheLevel> cache_levels() {
    std::vector<CacheLevel> levels;
    for (int index = 0; index < 8; ++index) {
        const auto word_of = [&](const char* name) {
            std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/{}", index, name));
            std::string word;
            file >> word;
            return word;
        };
        const std::string type = word_of("type");
        std::ifstream size_file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
        CacheLevel level;
        char unit = 0;
        if (!(size_file >> level.size_bytes >> unit) || type == "Instruction") continue;
        if (unit == 'K') level.size_bytes <<= 10U;
        if (unit == 'M') level.size_bytes <<= 20U;
        const std::string number = word_of("level");
        level.level = number.size() == 1 && number[0] > '0' && number[0] <= '9' ? static_cast<unsigned>(number[0] - '0') : 1;
        // "0", or a list: "0-1", "0,4".
        level.shared = word_of("shared_cpu_list").find_first_of("-,") != std::string::npos;
        levels.push_back(level);
    }
    std::sort(levels.begin(), levels.end(), [](const CacheLevel& a, const CacheLevel& b) { return a.size_bytes < b.size_bytes; });
    return levels;
}

std::optional<std::size_t> last_level_cache_bytes() {
    const std::vector<CacheLevel> levels = cache_levels();
    return levels.empty() ? std::nullopt : std::optional(levels.back().size_bytes);
}

}  // namespace rafter
