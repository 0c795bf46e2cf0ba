// "this" as a device: the machine as `rafter probe` measured it.
#pragma once

#include "apps/cli.h"
#include "hardware/hardware.h"
#include "hardware/profile.h"
#include "roofline/plan.h"

namespace rafter::apps {

// The saved profile; without one, a quick one is measured, and standard error says so.
[[nodiscard]] Result<hardware::Profile> this_profile(const Environment& environment);

// Its roofs: the best that was measured, of the level of memory that the model's weights lie in.
[[nodiscard]] hardware::Hardware this_machine(const hardware::Profile& profile, const roofline::PlannedModel& model);
// How much of them the engine's own kernels reach, and what threads pay each other for an op and a step.
[[nodiscard]] roofline::Efficiency this_efficiency(const hardware::Profile& profile, const roofline::PlannedModel& model);

}  // namespace rafter::apps
