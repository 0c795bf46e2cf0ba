// The pictures of a ladder as charts: the roofline with the path climbed, and the waterfall of gains.
#pragma once

#include "planning/ladder/ladder.h"
#include "report/roofline_chart.h"
#include "report/waterfall_chart.h"

namespace rafter::planning {

[[nodiscard]] report::RooflineChart roofline_of(const Ladder& ladder);
[[nodiscard]] report::WaterfallChart waterfall_of(const Ladder& ladder);

}  // namespace rafter::planning
