// What all forms of a quantiser's front say in the same words.
#pragma once

#include <string>
#include <vector>

#include "planning/quantize_front.h"
#include "report/tradeoff_chart.h"

namespace rafter::planning {

[[nodiscard]] report::TradeoffChart tradeoff_of(const QuantizeFront& front);
[[nodiscard]] std::string choice_words(const QuantizeFront& front);  // the answer, in a line
// How the losses were found, one sentence each.
[[nodiscard]] std::vector<std::string> method_words(const QuantizeFront& front);
[[nodiscard]] std::string trial_words(const engine::RepairTrial& trial);  // "ffn_down taken for 1.6 times its loss"

}  // namespace rafter::planning
