// What a workload gave, as a person or a program reads it: `bench --requests` and `simulate` say it alike.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/measure/workload.h"
#include "report/table.h"

namespace rafter::apps {

// How the work looks, as the command line says it.
struct WorkloadFlags {
    std::string requests;  // a number, or a trace file
    std::uint32_t shared_prefix = 0;
    double rate = 0.0;
    double target_itl_ms = 0.0;                    // 0: the usual one
    std::optional<std::uint64_t> kv_memory_bytes;  // none: what is available
    bool no_prefix_cache = false;
};
void add_workload_flags(CLI::App& verb, WorkloadFlags& flags);

// options: prompt, generate, seed and n_vocab are set. Fails on a bad trace, and where no part of a prompt is its own.
[[nodiscard]] Result<engine::Workload> open_workload(const WorkloadFlags& flags, engine::WorkloadOptions options);
// The machine that a workload ran on, at its best.
struct MachinePeaks {
    double bytes_per_s = 0.0;  // reading from where the weights lie
    double flop_per_s = 0.0;   // in the model's number type
};
// Of the time in the model: weights and cache read a second over the peak, and useful flops a second over the peak.
struct Utilization {
    double mbu = 0.0;
    double mfu = 0.0;
};
[[nodiscard]] std::optional<Utilization> utilization(const engine::WorkloadReport& report, const std::optional<MachinePeaks>& peaks);

// peaks: none for a simulated machine.
[[nodiscard]] nlohmann::ordered_json workload_json(const engine::WorkloadReport& report, const engine::SchedulerOptions& options,
                                                   const std::optional<MachinePeaks>& peaks);
[[nodiscard]] std::string workload_text(const engine::WorkloadReport& report, const engine::SchedulerOptions& options,
                                        const std::optional<MachinePeaks>& peaks, const report::Style& style);

}  // namespace rafter::apps
