// What is said while probe/ measures.
#include "apps/machine_profile.h"

#include <fmt/format.h>

#include "apps/output.h"
#include "report/progress.h"

namespace rafter::apps {

probe::ProfileStore profile_store(const Environment& environment) {
    return {.folder = environment.cache_folder.value_or(std::filesystem::path()), .version = version()};
}

void announce_measuring(std::string_view verb, const Result<hardware::Profile>& saved) {
    const std::string why = saved ? "another process is measuring this machine too" : saved.error().message;
    fmt::print(stderr, "rafter {}: {}; measuring it now, which takes 3 s (`rafter probe` measures it more exactly)\n", verb, why);
}

Result<hardware::Profile> machine_profile(const Environment& environment, ThreadPool& pool, std::string_view isa, std::string_view verb) {
    const probe::ProfileStore store = profile_store(environment);
    auto saved = probe::load_profile(store, pool, isa);
    if (saved) return saved;
    announce_measuring(verb, saved);
    report::Progress bar(stderr_terminal(environment), "Measuring");
    return probe::measure_profile(store, pool, isa, [&](double fraction, std::string_view what) { bar.update(fraction, what); });
}

}  // namespace rafter::apps
