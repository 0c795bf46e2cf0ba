// A run profile shown: what each op should have taken and what it took, as a table for people, as JSON, and as a trace for chrome://tracing
// and ui.perfetto.dev.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/measure/step_profile.h"
#include "report/style.h"

namespace rafter::planning {

[[nodiscard]] nlohmann::ordered_json phase_json(const engine::PhaseProfile& phase, const model::Program& program);
[[nodiscard]] std::string phase_table(const engine::PhaseProfile& phase, const model::Program& program, const report::Style& style);
// Every recorded step, with its ops as measured and as predicted, in Chrome's trace format.
[[nodiscard]] std::string trace_json(const backend::Backend& backend, const engine::StepProfiler& profiler, const model::Program& program,
                                     const hardware::Profile& machine, const roofline::PriceOptions& options);

// An op's name without its layer: "blk.3.attn_q" is "attn_q". The middle of long names of fused ops is left out.
[[nodiscard]] std::string role_of(const std::string& op_name);

}  // namespace rafter::planning
