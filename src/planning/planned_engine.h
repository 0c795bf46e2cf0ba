// Which engine a plan is for: the one that is named, else the one that fits the question; and what the answer says of it first.
#pragma once

#include "base/result.h"
#include "planning/plan_request.h"

namespace rafter::planning {

// Sets the scenario's engine; its hardware and efficiency are known already.
[[nodiscard]] Result<void> choose_engine(const PlanOptions& options, PlanRequest& request);
// What the engine makes of memory; the devices' sharing is known already.
[[nodiscard]] Result<void> set_engine_memory(const PlanOptions& options, PlanRequest& request);

}  // namespace rafter::planning
