// "this" as a device: the machine as `rafter probe` measured it.
#pragma once

#include "hardware/hardware.h"
#include "hardware/profile.h"
#include "roofline/plan.h"

namespace rafter::planning {

// The machine's roofs: the best rates that were measured, with the bandwidth of that level of memory in which the model's weights lie.
[[nodiscard]] hardware::Hardware this_machine(const hardware::Profile& profile, const roofline::PlannedModel& model);
// The part of those roofs that the engine's own kernels reach, and what an op and a step cost in synchronisation of threads.
[[nodiscard]] roofline::Efficiency this_efficiency(const hardware::Profile& profile, const roofline::PlannedModel& model);

}  // namespace rafter::planning
