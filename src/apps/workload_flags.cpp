// A number of requests is made up; a trace file says when each arrives and how long it is.
#include "apps/workload_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>

namespace rafter::apps {

void add_workload_flags(CLI::App& verb, WorkloadFlags& flags) {
    const auto group = "Workload";
    verb.add_option("--shared-prefix", flags.shared_prefix, "Tokens that all prompts begin with, of --prompt")
        ->type_name("N")
        ->group(group);
    CLI::Option* rate = verb.add_option("--rate", flags.rate, "Requests a second, at random times (default: all at once)")
                            ->check(CLI::Range(1e-6, 1e9, "FLOAT in [0.000001 - 1000000000]"))
                            ->type_name("R")
                            ->group(group);
    CLI::Option* users =
        verb.add_option("--users", flags.users,
                        "So many users, each with one request at a time: a closed loop, where a trace's times do not count")
            ->check(CLI::Range(1U, 1U << 20U))
            ->excludes(rate)
            ->type_name("N")
            ->group(group);
    verb.add_option("--think", flags.think_seconds, "Seconds that a user takes from an answer to the next request (default: 0)")
        ->check(CLI::Range(0.0, 1e9, "FLOAT in [0 - 1000000000]"))
        ->needs(users)
        ->type_name("S")
        ->group(group);
    verb.add_option("--target-itl", flags.target_itl_ms,
                    "Milliseconds between two tokens that prompts beside them may cost (default: 8 steps of one, or 2 of all)")
        ->check(CLI::Range(1e-3, 1e9, "FLOAT in [0.001 - 1000000000]"))
        ->type_name("MS")
        ->group(group);
    verb.add_option("--kv-memory", flags.kv_memory_bytes, "Bytes that the KV cache may take: 512MB, 2GB (default: what is available)")
        ->transform(CLI::AsSizeValue(true))
        ->type_name("SIZE")
        ->group(group);
    verb.add_flag("--no-prefix-cache", flags.no_prefix_cache, "Compute every prompt from its beginning")->group(group);
}

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
