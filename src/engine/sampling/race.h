// What the cuts leave of the tokens runs a race: each has an exponentially distributed time of its own, divided by its weight, and the
// smallest wins with the probability that its weight has in the total. No total is needed, and a token's time depends neither on which
// others run nor on its place among them, so a draft model's draws with the same noise tend to be the same.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/noise.h"

namespace rafter::engine {

using backend::SamplingKernels;
using backend::TokenList;

struct Candidate {
    float logit;
    TokenId token;
};
[[nodiscard]] inline bool likelier(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// exp((logit - max) / temperature); 0 for -inf and NaN.
struct Weight {
    float max;
    double temperature;
    [[nodiscard]] double operator()(float logit) const {
        return logit > -std::numeric_limits<float>::infinity() ? std::exp(log(logit)) : 0.0;
    }
    [[nodiscard]] double log(float logit) const { return (static_cast<double>(logit) - static_cast<double>(max)) / temperature; }
};

// The winner depends only on the set of tokens that run, not on their order.
class Race {
  public:
    // weight and noise outlive this.
    Race(const Weight& weight, const TokenNoise& noise) : weight_(weight), noise_(noise) {}

    void enter(TokenId token, float logit);
    void enter(std::span<const Candidate> candidates);
    // All of the row, or of the list. likeliest has the row's largest logit; the kernels leave out who cannot win against it.
    void enter(std::span<const float> logits, TokenId likeliest, const SamplingKernels& kernels);
    void enter(const TokenList& list, TokenId likeliest, const SamplingKernels& kernels);

    // At least one token of some weight has entered.
    [[nodiscard]] TokenId winner() const { return winner_; }

  private:
    void enter(TokenId token, float logit, std::uint32_t upper);  // upper: the token's, of noise
    void run(backend::RaceRow row, TokenId likeliest, const SamplingKernels& kernels);

    const Weight& weight_;
    const TokenNoise& noise_;
    double best_time_ = std::numeric_limits<double>::infinity();
    TokenId winner_ = std::numeric_limits<TokenId>::max();
};

}  // namespace rafter::engine
