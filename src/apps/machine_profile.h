// The profile of this machine, as every verb but `probe` gets it: the saved one of this CPU, thread count, instruction set and version, or
// else a quick one measured now.
#pragma once

#include "apps/cli.h"
#include "backend/cpu/isa.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"

namespace rafter::apps {

// Measures anew where none is saved or the saved one is of something else or cannot be read, and says so on standard error; `verb` is who
// asks. What cannot be saved is no error.
[[nodiscard]] Result<hardware::Profile> machine_profile(const Environment& environment, ThreadPool& pool, backend::cpu::Isa isa,
                                                        std::string_view verb);

// The saved one, if it is of this machine, thread count, instruction set and version.
[[nodiscard]] std::optional<hardware::Profile> saved_profile(const Environment& environment, ThreadPool& pool, backend::cpu::Isa isa);

// "3 minutes", "2 days": how old a profile is.
[[nodiscard]] std::string age_of(const hardware::Profile& profile);

}  // namespace rafter::apps
