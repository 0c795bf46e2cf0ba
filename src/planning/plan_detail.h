// What `rafter plan --full` adds to the answer: where the time goes op by op, every what-if, speculation and the curves.
#pragma once

#include <string>

#include "planning/plan_request.h"
#include "report/style.h"

namespace rafter::planning {

[[nodiscard]] std::string plan_detail(const PlanRequest& request, const roofline::Plan& plan, const report::Style& style);

}  // namespace rafter::planning
