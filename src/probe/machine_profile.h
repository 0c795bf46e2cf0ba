// The machine profile that everyone but `rafter probe` works with: the saved one of this CPU, thread count, instruction set and version of
// the program, or else a quick one measured now. Nothing is printed here; what to say is returned or reported as progress.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"

namespace rafter::probe {

// Where machine profiles are kept.
struct ProfileStore {
    std::filesystem::path folder;  // empty: nothing is saved, and nothing is found
    std::string version;           // of the program: the profile of another version is measured again
};

using ProfileProgress = std::function<void(double fraction, std::string_view what)>;

// The saved profile of this machine, thread count, instruction set and version. The error says why there is none that can be used.
[[nodiscard]] Result<hardware::Profile> load_profile(const ProfileStore& store, const ThreadPool& pool, std::string_view isa);
[[nodiscard]] std::optional<hardware::Profile> saved_profile(const ProfileStore& store, const ThreadPool& pool, std::string_view isa);

// Measures for 3 seconds on all the pool's threads, and saves the result. A profile that cannot be saved is measured again the next time:
// that is no error.
[[nodiscard]] Result<hardware::Profile> measure_profile(const ProfileStore& store, ThreadPool& pool, std::string_view isa,
                                                        const ProfileProgress& progress);

// The saved profile, or one measured now. `progress` is called only while measuring; it may be empty.
[[nodiscard]] Result<hardware::Profile> find_or_measure_profile(const ProfileStore& store, ThreadPool& pool, std::string_view isa,
                                                                const ProfileProgress& progress);

// "3 minutes", "2 days": how old a profile is.
[[nodiscard]] std::string age_of(const hardware::Profile& profile);

}  // namespace rafter::probe
