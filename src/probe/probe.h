// The whole probe: what this machine can do, measured in some seconds, as a profile that prices are made of.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "base/thread_pool.h"
#include "hardware/profile.h"
#include "probe/matrix_bench.h"

namespace rafter::probe {

struct ProbeOptions {
    bool quick = false;   // under 3 s instead of under 20
    std::string version;  // of the program
    ProbeFocus focus = {};
    std::function<void(double fraction, std::string_view what)> progress = {};
};

// isa is the instruction set of the kernels, one that this machine has, by its name (backend/backends.h).

// What would be measured now.
[[nodiscard]] hardware::ProfileKey profile_key(const ThreadPool& pool, std::string_view isa, const std::string& version);

// Takes all the pool's threads, and a quarter of a gigabyte of memory (less where there is less). Fails when it cannot have that.
[[nodiscard]] Result<hardware::Profile> probe_machine(ThreadPool& pool, std::string_view isa, const ProbeOptions& options);

// Measures the bandwidth of a working set again, for 0.2 s, in place of what the profile has of about that size; the best stays the best. A
// machine that others use changes within seconds. Without the memory for it the profile stays as it is.
void refresh_bandwidth(ThreadPool& pool, double working_set_bytes, hardware::Profile& profile);

// Of the same only the roofs: bandwidths, and the peaks of this instruction set's arithmetic (probe_machine has those of the machine's best
// one, whatever the kernels use). A second or two with `quick`. Fails in the same way.
[[nodiscard]] Result<hardware::Profile> probe_roofs(ThreadPool& pool, std::string_view isa, const ProbeOptions& options);

}  // namespace rafter::probe
