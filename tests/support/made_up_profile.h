// A saved machine profile with made-up numbers, for tests of what depends on a profile: measuring a machine takes seconds.
#pragma once

#include <filesystem>

#include "base/version.h"
#include "engine/loading/runtime.h"
#include "probe/machine_profile.h"
#include "probe/probe.h"

namespace rafter::tests {

// 10 GB/s and 100 GFLOP/s. For a runtime of this many threads and the best instruction set, saved as this version's.
inline hardware::Profile save_made_up_profile(const std::filesystem::path& cache_folder, unsigned n_threads) {
    engine::Runtime runtime = engine::Runtime::create({.n_threads = n_threads}).value();
    hardware::Profile profile;
    profile.key = probe::profile_key(runtime.pool(), runtime.isa(), version());
    profile.memory_bytes = 16e9;
    profile.bandwidth = {{.n_threads = 1, .working_set_bytes = 1e6, .bytes_per_s = 10e9, .best_bytes_per_s = 10e9, .spread = 0.0}};
    profile.float_flop_per_s = 1e11;
    profile.int8_flop_per_s = 1e11;
    profile.stream_bytes_per_s = 10e9;
    profile.barrier_seconds = 1e-6;
    profile.fork_join_seconds = 1e-5;
    hardware::write_profile(hardware::profile_path(cache_folder, profile.key), profile).value();
    return profile;
}

}  // namespace rafter::tests
