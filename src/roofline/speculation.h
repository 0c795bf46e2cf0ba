// Speculative decoding: a draft proposes γ tokens a round and one step of the target verifies them (Leviathan et al.,
// https://arxiv.org/abs/2211.17192). The verifying step is priced like any other: near the ridge it costs more than a plain one.
#pragma once

#include <vector>

#include "roofline/step_price.h"

namespace rafter::roofline {

// Tokens that a round gives on average, the target's own included: (1 - α^(γ+1)) / (1 - α).
[[nodiscard]] double expected_tokens(double alpha, double gamma);
// Theorem 3.11: target's and draft's operations a token over those without, of a draft with c times the target's operations.
[[nodiscard]] double operations_factor(double alpha, double gamma, double c_operations);
// Theorem 3.8, verify = 1: expected tokens / (γ c + verify); verify: a γ+1-token step's time over a 1-token step's.
[[nodiscard]] double speculative_speedup(double alpha, double gamma, double c, double verify);

struct SpeculationQuestion {
    double alpha = 0.7;  // chance that a drafted token is accepted
    double c = 0.05;     // a draft step's time over a target step's
    double gamma = 0.0;  // 0: the best one
    double n_sequences = 1.0;
    double n_context = 1.0;
    double max_gamma = 32.0;
};

struct Speculation {
    double alpha = 0.0;
    double c = 0.0;
    double gamma = 0.0;  // asked for, or the best
    double expected_tokens = 1.0;
    double operations_factor = 1.0;
    double verify_ratio = 1.0;
    double speedup = 1.0;                    // rooflined
    double speedup_free_verification = 1.0;  // were verification as cheap as a step
    double best_gamma = 0.0;                 // 0: none pays
    double best_speedup = 1.0;
    double best_gamma_free_verification = 0.0;
};

[[nodiscard]] Speculation speculate(const PricedList& list, const Setup& setup, const SpeculationQuestion& question);

}  // namespace rafter::roofline
