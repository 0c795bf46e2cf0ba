// A saved profile is only as good as its key: a file that does not fit is measured again, not trusted.
#include "probe/machine_profile.h"

#include <algorithm>
#include <ctime>

#include "probe/probe.h"

namespace rafter::probe {

Result<hardware::Profile> load_profile(const ProfileStore& store, const ThreadPool& pool, std::string_view isa) {
    const Error not_measured{"this machine has not been measured yet", ErrorKind::kBadInput};
    if (store.folder.empty()) return not_measured;
    const hardware::ProfileKey key = profile_key(pool, isa, store.version);
    const std::filesystem::path path = hardware::profile_path(store.folder, key);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return not_measured;
    RAFTER_TRY(hardware::Profile saved, hardware::read_profile(path));
    if (saved.key != key) return bad_input("{}: of another machine or version", path.string());
    return saved;
}

std::optional<hardware::Profile> saved_profile(const ProfileStore& store, const ThreadPool& pool, std::string_view isa) {
    auto saved = load_profile(store, pool, isa);
    return saved ? std::optional(*std::move(saved)) : std::nullopt;
}

Result<hardware::Profile> measure_profile(const ProfileStore& store, ThreadPool& pool, std::string_view isa,
                                          const ProfileProgress& progress) {
    RAFTER_TRY(hardware::Profile profile, probe_machine(pool, isa, {.quick = true, .version = store.version, .progress = progress}));
    if (!store.folder.empty()) (void)hardware::write_profile(hardware::profile_path(store.folder, profile.key), profile).has_value();
    return profile;
}

Result<hardware::Profile> find_or_measure_profile(const ProfileStore& store, ThreadPool& pool, std::string_view isa,
                                                  const ProfileProgress& progress) {
    auto saved = load_profile(store, pool, isa);
    return saved ? saved : measure_profile(store, pool, isa, progress);
}

std::string age_of(const hardware::Profile& profile) {
    const std::int64_t seconds = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::time(nullptr)) - profile.time);
    const auto words = [](std::int64_t n, const char* unit) { return fmt::format("{} {}{}", n, unit, n == 1 ? "" : "s"); };
    if (seconds < 60) return "less than a minute";
    if (seconds < 3600) return words(seconds / 60, "minute");
    if (seconds < 48 * 3600) return words(seconds / 3600, "hour");
    return words(seconds / (24 * 3600), "day");
}

}  // namespace rafter::probe
