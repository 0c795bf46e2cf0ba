// The options of a workload, which `bench --requests` and `simulate` share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/options/verb.h"
#include "engine/measure/workload.h"

namespace rafter::apps {

struct WorkloadFlags {
    std::string requests;  // a number, or a trace file
    std::uint32_t shared_prefix = 0;
    double rate = 0.0;
    std::uint32_t users = 0;  // of a closed loop; 0: requests arrive by themselves
    double think_seconds = 0.0;
    double target_itl_ms = 0.0;                    // 0: the usual one
    std::optional<std::uint64_t> kv_memory_bytes;  // none: what is available
    bool no_prefix_cache = false;
};
void add_workload_options(OptionSet& options, WorkloadFlags& flags, const OptionUse& requests = {});

// options: prompt, generate, seed and n_vocab are set. Fails on a bad trace, and where no part of a prompt is its own. What is ignored in a
// trace is said on stderr, in the name of the verb.
[[nodiscard]] Result<engine::Workload> open_workload(const char* verb, const WorkloadFlags& flags, engine::WorkloadOptions options);

}  // namespace rafter::apps
