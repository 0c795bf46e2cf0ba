// Log-probabilities of the raw logits: what the model thought, before penalties and temperature.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/request.h"

namespace rafter::engine {

struct TokenLogprobs {
    double logprob = 0.0;                         // of the token itself
    std::vector<std::pair<TokenId, double>> top;  // the likeliest, falling; ties to the lower id
    std::vector<double> probed = {};              // of Request::probed_tokens, in their order
};

// log(sum(exp(logits))), in float64.
[[nodiscard]] double log_sum_exp(std::span<const float> logits);
[[nodiscard]] TokenLogprobs logprobs_of(std::span<const float> logits, TokenId token, std::uint32_t n_top,
                                        std::span<const TokenId> probed = {});

}  // namespace rafter::engine
