// What every form of a plan says in the same words: the machine, the load, what the speeds are based on, and what binds a step.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "planning/plan_request.h"

namespace rafter::planning {

// "8 x H100-SXM (tp=8)"
[[nodiscard]] std::string machine_words(const roofline::Setup& setup);
// "64 requests · prompt 512 · answer 128 · context 640 · weights bf16 · KV fp16"
[[nodiscard]] std::string load_words(const PlanRequest& request);
// Which engine the answer is for, and which fractions of the hardware's rates: a line each, or one for both.
[[nodiscard]] std::vector<std::string> basis_words(const PlanRequest& request);
// The roof of the matrices' arithmetic by name, and what is to be said of it; none where the device does not name its units.
[[nodiscard]] std::vector<std::string> arithmetic_words(const PlanRequest& request, const roofline::Plan& plan);
// "memory bandwidth (reading weights: 49% of a step)"
[[nodiscard]] std::string bound_words(const roofline::Phase& phase);
// What each cause would take alone, those of note only.
[[nodiscard]] std::vector<std::pair<const char*, double>> causes_of(const roofline::PricedStep& step);

}  // namespace rafter::planning
