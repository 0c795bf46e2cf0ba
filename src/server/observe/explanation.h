// What GET /explain answers: why the last minute was as fast as it was. The first line is the answer; then which roof bound the steps,
// where the seconds above it went, why prompts missed the prefix cache, what would help, and what is not known.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_thread.h"
#include "engine/scheduler.h"
#include "server/admission/gate.h"
#include "server/observe/losses.h"
#include "server/observe/prefix_watch.h"
#include "server/observe/roofline_view.h"
#include "server/observe/step_watch.h"

namespace rafter::server {

struct ExplainInput {
    std::string model_name;
    const StepWatch& watch;
    const PrefixWatch& prefixes;
    const engine::SchedulerOptions& scheduler;  // ServedModel::thread().options()
    engine::EngineSnapshot engine;
    GateLoad load;
    std::string machine_doubt;  // hardware::Profile::doubt, where it is not trusted; "": it is, or there is none
    double now_seconds = watch_seconds();
};

struct Suggestion {
    std::string what;    // a sentence without its end: what to do, and what it is expected to give
    double gain = 0.0;   // tokens a second with it over those without; 1: none
    std::string remark;  // what that rests on; may be empty
};

struct Explanation {
    std::string headline;                 // the answer
    std::string roof;                     // that bound most steps: "memory", "VNNI int8"; "": overhead did, or nothing is known
    std::vector<std::string> lines;       // facts, the most important first
    std::vector<LostSeconds> losses;      // the largest first; without those below a thousandth of the steps' time
    std::vector<Suggestion> suggestions;  // up to three, the best first
    std::vector<std::string> unknown;
    StepSums sums;  // of the minute
    double window_seconds = 60.0;
    PrefixFindings prefixes;
    bool ran = false;  // some step was taken
};

[[nodiscard]] Explanation explain(const ExplainInput& input);
// Lines of at most 110 characters, but for the first, which is the headline.
[[nodiscard]] std::string to_text(const Explanation& explanation);
[[nodiscard]] nlohmann::ordered_json to_json(const Explanation& explanation);
// For GET /roofline; none where nothing ran.
[[nodiscard]] std::optional<ShortVerdict> short_verdict(const Explanation& explanation);

}  // namespace rafter::server
