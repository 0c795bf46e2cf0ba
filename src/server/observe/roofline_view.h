// What GET /roofline answers: the roofs of this machine, the latest steps as points below them, and the rates of the moment. Numbers that
// need a machine profile are null without one.
//
//   {"machine": {"name", "isa", "n_threads", "memory_bytes_per_s", "flop_per_s", "arithmetic", "measured"} or null,
//    "model": "...",
//    "now": {"window_seconds", "n_running", "n_queued", "queued_seconds", "decode_tokens_per_s", "prefill_tokens_per_s", "mbu", "mfu",
//            "roof_fraction", "kv_used_fraction", "prefix_hit_fraction", "drafted_per_s", "accepted_per_s", "predicted_over_measured"},
//    "steps": [{"id", "seconds_ago", "kind", "n_tokens", "n_sequences", "flops_per_byte", "flop_per_s", "bytes_per_s",
//               "predicted_seconds", "measured_seconds", "bound"}],
//    "verdict": {"headline", "lines": [...]} or null}
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_thread.h"
#include "hardware/profile.h"
#include "server/admission/gate.h"
#include "server/observe/step_watch.h"

namespace rafter::server {

// The roofs that a view draws.
struct MachineRoofs {
    std::string name;  // the processor's
    std::string isa;
    unsigned n_threads = 1;
    double memory_bytes_per_s = 0.0;
    double flop_per_s = 0.0;
    std::string arithmetic;  // what has that peak: "VNNI int8"
    bool measured = true;    // false: the profile was taken while the machine was too busy to be trusted
};
// None without a machine profile.
[[nodiscard]] std::optional<MachineRoofs> machine_roofs(const engine::ServedModel& served, const StepWatch& watch);

struct ShortVerdict {
    std::string headline;
    std::vector<std::string> lines;
};

struct RooflineInput {
    std::string model_name;
    std::optional<MachineRoofs> machine;
    const StepWatch& watch;
    engine::EngineSnapshot engine;
    GateLoad load;
    std::optional<ShortVerdict> verdict;  // none: nothing ran in the last minute
    double now_seconds = watch_seconds();
};

// "now" is of the last second; while a step longer than that is under way, of the last second of steps that ended. Rates are 0 and ratios
// null where no step was taken. "prefix_hit_fraction" is of the last minute, because most seconds have no new prompt.
[[nodiscard]] nlohmann::ordered_json roofline_json(const RooflineInput& input);

}  // namespace rafter::server
