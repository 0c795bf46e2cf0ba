// Measurements are kept by the size of the working set, in steps of a fifth, because a token of a longer context reads a little more.
#include "probe/memory_roof.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/os_cpu_info.h"
#include "base/os_file.h"
#include "probe/read_bandwidth.h"
#include "report/units.h"

namespace rafter::probe {
namespace {

constexpr std::int64_t kFreshSeconds = 3600;
constexpr std::size_t kMaxKept = 64;

nlohmann::json read_list(const std::filesystem::path& path) {
    std::ifstream file(path);
    nlohmann::json list = nlohmann::json::parse(file, nullptr, false);
    return list.is_array() ? list : nlohmann::json::array();
}

// A measurement that cannot be kept is made again: that is no error.
void keep(const std::filesystem::path& path, const nlohmann::json& list) {
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    (void)write_file(path, list.dump(1) + "\n").has_value();
}

bool is_reading(const nlohmann::json& entry, std::int64_t now) {
    if (!entry.is_object() || !entry.contains("key") || !entry["key"].is_object()) return false;
    if (!entry.contains("time") || !entry["time"].is_number_integer()) return false;
    if (!entry.contains("bytes_per_s") || !entry["bytes_per_s"].is_number()) return false;
    const auto time = entry["time"].get<std::int64_t>();
    return time <= now && now - time < kFreshSeconds && entry["bytes_per_s"] > 0.0;
}

// Private caches count once a thread.
std::string level_of(std::size_t working_set_bytes, unsigned n_threads) {
    for (const CacheLevel& cache : cache_levels()) {
        const std::size_t size_bytes = cache.shared ? cache.size_bytes : cache.size_bytes * n_threads;
        if (working_set_bytes <= size_bytes) return fmt::format("L{} cache", cache.level);
    }
    return "memory";
}

}  // namespace

std::optional<MemoryRoof> measure_memory_roof(const std::filesystem::path& folder, ThreadPool& pool, double bytes_per_step) {
    const std::size_t working_set = working_set_bytes(bytes_per_step, last_level_cache_bytes());
    const auto size_step = static_cast<int>(std::lround(4 * std::log2(static_cast<double>(working_set))));
    const nlohmann::json key{{"cpu", cpu_name()}, {"threads", pool.n_threads()}, {"size_step", size_step}};
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    const auto measured = measure_read_bandwidth(pool, working_set);
    if (!measured) return std::nullopt;
    double best = measured->best_bytes_per_s;
    nlohmann::json kept = nlohmann::json::array();
    if (!folder.empty()) {
        const std::filesystem::path path = folder / "bandwidth.json";
        for (nlohmann::json& entry : read_list(path)) {
            if (!is_reading(entry, now)) continue;
            if (entry["key"] == key) best = std::max(best, entry["bytes_per_s"].get<double>());
            kept.push_back(std::move(entry));
        }
        kept.push_back({{"key", key}, {"time", now}, {"bytes_per_s", measured->best_bytes_per_s}});
        if (kept.size() > kMaxKept) kept.erase(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(kMaxKept));
        keep(path, kept);
    }
    return MemoryRoof{.bytes_per_s = best, .bytes_per_s_now = measured->best_bytes_per_s, .level = level_of(working_set, pool.n_threads())};
}

std::optional<std::string> above_roof(double read_bytes_per_s, const MemoryRoof& roof) {
    if (read_bytes_per_s <= roof.bytes_per_s) return std::nullopt;
    return fmt::format(
        "a measuring error, because no program reads faster than the machine. Probably {} was slower during the measurement than while the "
        "model ran, or a part of the weights stayed in a nearer cache",
        roof.level);
}

std::string compared_with_roof(double read_bytes_per_s, const MemoryRoof& roof) {
    const std::string level = roof.level == "memory" ? roof.level : "fits in the " + roof.level;
    const std::string percent = fmt::format("{:.0f}% of {} measured ({})", 100 * read_bytes_per_s / roof.bytes_per_s,
                                            report::bytes_per_second(roof.bytes_per_s), level);
    const auto error = above_roof(read_bytes_per_s, roof);
    return error ? fmt::format("{}: {}", percent, *error) : percent;
}

}  // namespace rafter::probe
