// The machine profile as a verb gets it: measuring is announced on standard error, with a progress bar.
#pragma once

#include <string_view>

#include "apps/cli.h"
#include "probe/machine_profile.h"

namespace rafter::apps {

// Profiles are kept in the cache folder, where there is one.
[[nodiscard]] probe::ProfileStore profile_store(const Environment& environment);

// Says on standard error that `verb` measures the machine now, and why: no saved profile can be used.
void announce_measuring(std::string_view verb, const Result<hardware::Profile>& saved);

// The saved profile, or one measured now; `verb` is who asks.
[[nodiscard]] Result<hardware::Profile> machine_profile(const Environment& environment, ThreadPool& pool, std::string_view isa,
                                                        std::string_view verb);

}  // namespace rafter::apps
