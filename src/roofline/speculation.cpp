// The best γ by trying all.
#include "roofline/speculation.h"

#include <cmath>

namespace rafter::roofline {

double expected_tokens(double alpha, double gamma) {
    if (alpha >= 1.0) return gamma + 1;
    return (1 - std::pow(alpha, gamma + 1)) / (1 - alpha);
}

double operations_factor(double alpha, double gamma, double c_operations) {
    return (gamma * c_operations + gamma + 1) / expected_tokens(alpha, gamma);
}

double speculative_speedup(double alpha, double gamma, double c, double verify) {
    return expected_tokens(alpha, gamma) / (gamma * c + verify);
}

Speculation speculate(const PricedList& list, const Setup& setup, const SpeculationQuestion& q) {
    Speculation s{.alpha = q.alpha, .c = q.c};
    const double plain = price_step(list, setup, decode_step(q.n_sequences, q.n_context)).seconds;
    const auto verify = [&](double gamma) {
        return plain > 0 ? price_step(list, setup, decode_step(q.n_sequences, q.n_context + gamma, gamma + 1)).seconds / plain : 1.0;
    };
    double best_free = 1.0;
    for (double gamma = 1; gamma <= q.max_gamma; ++gamma) {
        const double rooflined = speculative_speedup(q.alpha, gamma, q.c, verify(gamma));
        if (rooflined > s.best_speedup) {
            s.best_speedup = rooflined;
            s.best_gamma = gamma;
        }
        const double free = speculative_speedup(q.alpha, gamma, q.c, 1.0);
        if (free > best_free) {
            best_free = free;
            s.best_gamma_free_verification = gamma;
        }
    }
    s.gamma = q.gamma > 0 ? q.gamma : s.best_gamma;
    if (s.gamma <= 0) return s;
    s.verify_ratio = verify(s.gamma);
    s.expected_tokens = expected_tokens(q.alpha, s.gamma);
    s.operations_factor = operations_factor(q.alpha, s.gamma, q.c);
    s.speedup = speculative_speedup(q.alpha, s.gamma, q.c, s.verify_ratio);
    s.speedup_free_verification = speculative_speedup(q.alpha, s.gamma, q.c, 1.0);
    return s;
}

}  // namespace rafter::roofline
