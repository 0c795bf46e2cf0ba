// The router of a mixture of experts: which experts a token goes to, with what weights.
#pragma once

#include <cstddef>

#include "model/program.h"

namespace rafter::backend::cpu {

// logits[n_experts] -> routing[2 * k]: the k experts of the largest logits, in descending order, ties to the lower number; then their
// weights. k = options.n_experts_used <= n_experts.
void route(const float* logits, std::size_t n_experts, const model::RouteOptions& options, float* routing);

}  // namespace rafter::backend::cpu
