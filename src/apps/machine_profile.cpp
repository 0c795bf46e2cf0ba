// A saved profile is only as good as its key: a file that does not fit is measured over, not trusted.
#include "apps/machine_profile.h"

#include <ctime>

#include "apps/output.h"
#include "probe/probe.h"
#include "report/progress.h"

namespace rafter::apps {

Result<hardware::Profile> machine_profile(const Environment& environment, ThreadPool& pool, backend::cpu::Isa isa, std::string_view verb) {
    const hardware::ProfileKey key = probe::profile_key(pool, isa, version());
    std::string why = "this machine has not been measured yet";
    std::optional<std::filesystem::path> path;
    if (environment.cache_folder) {
        path = hardware::profile_path(*environment.cache_folder, key);
        std::error_code ignored;
        if (std::filesystem::exists(*path, ignored)) {
            auto saved = hardware::read_profile(*path);
            if (saved && saved->key == key) return saved;
            why = saved ? fmt::format("{}: of another machine or version", path->string()) : saved.error().message;
        }
    }
    fmt::print(stderr, "rafter {}: {}; measuring it now, in 3 s (`rafter probe` does it thoroughly)\n", verb, why);
    report::Progress bar(stderr_terminal(environment), "Measuring");
    RAFTER_TRY(
        hardware::Profile profile,
        probe::probe_machine(pool, isa, {.quick = true, .version = version(), .progress = [&](double fraction, std::string_view what) {
                                             bar.update(fraction, what);
                                         }}));
    bar.clear();
    if (path) (void)hardware::write_profile(*path, profile).has_value();
    return profile;
}

std::optional<hardware::Profile> saved_profile(const Environment& environment, ThreadPool& pool, backend::cpu::Isa isa) {
    if (!environment.cache_folder) return std::nullopt;
    const hardware::ProfileKey key = probe::profile_key(pool, isa, version());
    auto saved = hardware::read_profile(hardware::profile_path(*environment.cache_folder, key));
    return saved && saved->key == key ? std::optional(*std::move(saved)) : std::nullopt;
}

std::string age_of(const hardware::Profile& profile) {
    const std::int64_t seconds = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::time(nullptr)) - profile.time);
    const auto words = [](std::int64_t n, const char* unit) { return fmt::format("{} {}{}", n, unit, n == 1 ? "" : "s"); };
    if (seconds < 60) return "less than a minute";
    if (seconds < 3600) return words(seconds / 60, "minute");
    if (seconds < 48 * 3600) return words(seconds / 3600, "hour");
    return words(seconds / (24 * 3600), "day");
}

}  // namespace rafter::apps
