// A number of requests is made up; a trace file says when each arrives and how long it is.
#include "apps/workload_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>

namespace rafter::apps {

void add_workload_options(OptionSet& options, WorkloadFlags& flags, const OptionUse& requests) {
    options.add("requests", flags.requests, requests);
    options.add("shared-prefix", flags.shared_prefix);
    options.add("rate", flags.rate);
    options.add("users", flags.users);
    options.add("think", flags.think_seconds);
    options.add("target-itl", flags.target_itl_ms);
    options.add("kv-memory", flags.kv_memory_bytes);
    options.add("no-prefix-cache", flags.no_prefix_cache);
}

Result<engine::Workload> open_workload(const char* verb, const WorkloadFlags& flags, engine::WorkloadOptions options) {
    options.shared_prefix = flags.shared_prefix;
    options.requests_per_second = flags.rate;
    options.n_users = flags.users;
    options.think_seconds = flags.think_seconds;
    if (options.shared_prefix >= options.prompt) {
        return bad_input("--shared-prefix: expected fewer than the {} tokens of --prompt-tokens, found {}", options.prompt,
                         options.shared_prefix);
    }
    const char* const end = flags.requests.data() + flags.requests.size();
    if (const auto [last, error] = std::from_chars(flags.requests.data(), end, options.n_requests); error == std::errc{} && last == end) {
        if (options.n_requests == 0) return bad_input("--requests: expected at least 1, found 0");
        return engine::Workload(options);
    }
    RAFTER_TRY(engine::Workload workload, engine::Workload::read(flags.requests, options));
    for (const std::string& warning : workload.warnings()) fmt::print(stderr, "rafter {}: {}\n", verb, warning);
    return workload;
}

}  // namespace rafter::apps
