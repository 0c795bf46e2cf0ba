// What would change if: each variant is a scenario of its own, priced in full.
#pragma once

#include <vector>

#include "roofline/plan.h"

namespace rafter::roofline {

// Largest gain first; variants that would not fit where the scenario does come last.
[[nodiscard]] std::vector<WhatIf> what_ifs(const Scenario& scenario, const Summary& before, const Speculation& speculation);

}  // namespace rafter::roofline
