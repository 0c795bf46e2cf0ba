// The measured bandwidth, kept for an hour in the cache folder: on a shared machine an older number would be about another machine.
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/generate.h"
#include "base/os_cpu_info.h"
#include "base/os_file.h"
#include "probe/read_bandwidth.h"

namespace rafter::apps {
namespace {

using nlohmann::json;

constexpr std::int64_t kFreshSeconds = 3600;

json read_list(const std::filesystem::path& path) {
    std::ifstream file(path);
    json list = json::parse(file, nullptr, false);
    return list.is_array() ? list : json::array();
}

// What cannot be kept is measured again: no error.
void keep(const std::filesystem::path& path, const json& list) {
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    auto file = AtomicFile::create(path);
    if (!file) return;
    const std::string text = list.dump(1) + "\n";
    if (file->write(std::as_bytes(std::span(text)))) (void)file->commit().has_value();
}

}  // namespace

std::optional<double> machine_bandwidth(const Environment& environment, Session& session, double bytes_per_token) {
    const std::size_t working_set = probe::working_set_bytes(bytes_per_token, last_level_cache_bytes());
    const json key{{"cpu", cpu_name()}, {"threads", session.runtime().pool().n_threads()}, {"working_set_bytes", working_set}};
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    const auto path = environment.cache_folder ? std::optional(*environment.cache_folder / "bandwidth.json") : std::nullopt;

    json kept = json::array();
    if (path) {
        for (const json& entry : read_list(*path)) {
            if (!entry.is_object() || !entry.contains("key") || !entry["key"].is_object()) continue;
            const bool has_numbers = entry.contains("time") && entry["time"].is_number_integer() && entry.contains("bytes_per_s") &&
                                     entry["bytes_per_s"].is_number();
            const bool is_fresh = has_numbers && entry["time"] <= now && now - entry["time"].get<std::int64_t>() < kFreshSeconds;
            if (!is_fresh) continue;
            if (entry["key"] == key && entry["bytes_per_s"] > 0.0) return entry["bytes_per_s"].get<double>();
            kept.push_back(entry);
        }
    }
    const auto measured = probe::measure_read_bandwidth(session.runtime().pool(), working_set);
    if (!measured) return std::nullopt;
    kept.push_back({{"key", key}, {"time", now}, {"bytes_per_s", *measured}});
    if (path) keep(*path, kept);
    return *measured;
}

}  // namespace rafter::apps
