// Top-k and softmax in double: a few hundred numbers a token, far from any hot loop.
#include "backend/cpu/route.h"

#include <cmath>

#include "base/check.h"

namespace rafter::backend::cpu {

void route(const float* logits, std::size_t n_experts, const model::RouteOptions& options, float* routing) {
    const std::size_t k = options.n_experts_used;
    RAFTER_CHECK(k >= 1 && k <= n_experts, "{} of {} experts", k, n_experts);
    float* const weights = routing + k;
    // Insertion into the k best so far: a later expert goes behind an equal one. NaN is below everything, so that there are always k.
    const auto is_larger = [](float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); };
    std::size_t n = 0;
    for (std::size_t e = 0; e < n_experts; ++e) {
        std::size_t at = n;
        while (at > 0 && is_larger(logits[e], logits[static_cast<std::size_t>(routing[at - 1])])) --at;
        if (at >= k) continue;
        if (n < k) ++n;
        for (std::size_t i = n - 1; i > at; --i) routing[i] = routing[i - 1];
        routing[at] = static_cast<float>(e);  // exact: below 2^24
    }

    const auto logit_of_rank = [&](std::size_t rank) { return static_cast<double>(logits[static_cast<std::size_t>(routing[rank])]); };
    const double largest = logit_of_rank(0);
    double chosen = 0;
    for (std::size_t i = 0; i < k; ++i) chosen += std::exp(logit_of_rank(i) - largest);
    double total = chosen;
    if (options.scoring == model::RouterScoring::kSoftmaxThenTopK && !options.normalize_weights) {
        total = 0;
        for (std::size_t e = 0; e < n_experts; ++e) total += std::exp(static_cast<double>(logits[e]) - largest);
    }
    // Normalised, a softmax over all divided by the chosen ones' sum is the softmax over the chosen.
    for (std::size_t i = 0; i < k; ++i) weights[i] = static_cast<float>(std::exp(logit_of_rank(i) - largest) / total);
}

}  // namespace rafter::backend::cpu
