// What would have made the last minute faster, priced by the machine's profile where there is one.
#pragma once

#include <vector>

#include "server/observe/explanation.h"

namespace rafter::server {

// Up to three that gain 2% or more, the best first. Prompt tokens that need not have been computed count even where nothing says what they
// cost; they come last.
[[nodiscard]] std::vector<Suggestion> suggestions_for(const ExplainInput& input, const StepSums& sums, const PrefixFindings& prefixes);

}  // namespace rafter::server
