// The same ladder for a device that need not be there: every point from the plan alone, nothing measured.
#pragma once

#include <string>

#include "base/result.h"
#include "planning/ladder/ladder.h"
#include "planning/plan_request.h"

namespace rafter::planning {

// options: the model and the device, and how much of its rates it reaches. Fails as make_request() does.
[[nodiscard]] Result<Ladder> ladder_outlook(const PlanOptions& options, const PlanSources& sources, const std::string& version);

}  // namespace rafter::planning
