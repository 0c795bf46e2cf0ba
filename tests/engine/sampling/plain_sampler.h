// Sampling in plain double arithmetic, each token looked at one by one: what the sampler must choose, bit for bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/noise.h"
#include "tests/engine/sampling/slow_sampler.h"

namespace rafter::engine::tests::plain {

struct Candidate {
    float logit;
    TokenId token;
};

inline bool likelier(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }
inline bool less_likely(const Candidate& a, const Candidate& b) {
    return likelier(b, a);
}  // as the heap wants it: its top is the likeliest

// exp((logit - max) / temperature); 0 for -inf and NaN.
struct Weight {
    double max;
    double temperature;
    double operator()(float logit) const { return logit > -kInfinity ? std::exp(log(logit)) : 0.0; }
    double log(float logit) const { return (static_cast<double>(logit) - max) / temperature; }
};

class Race {
  public:
    Race(const Weight& weight, const TokenNoise& noise) : weight_(weight), noise_(noise) {}

    void enter(TokenId token, float logit) {
        const double w = weight_(logit);
        if (w == 0.0) return;
        const double time = noise_.exponential(static_cast<std::uint32_t>(token)) / w;
        if (time > best_time_ || (time == best_time_ && token > winner_)) return;
        best_time_ = time;
        winner_ = token;
    }
    // At least one token of some weight has entered.
    [[nodiscard]] TokenId winner() const { return winner_; }

  private:
    const Weight& weight_;
    const TokenNoise& noise_;
    double best_time_ = std::numeric_limits<double>::infinity();
    TokenId winner_ = std::numeric_limits<TokenId>::max();
};

inline TokenId draw_of_all(std::span<const float> logits, const Weight& weight, const TokenNoise& noise) {
    Race race(weight, noise);
    for (std::size_t i = 0; i < logits.size(); ++i) race.enter(static_cast<TokenId>(i), logits[i]);
    return race.winner();
}

// The k likeliest, unordered, as a list of candidates.
inline void keep_top_k(std::vector<Candidate>& candidates, std::size_t k) {
    if (k >= candidates.size()) return;
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k), candidates.end(), likelier);
    candidates.resize(k);
}

// Leaves in `candidates` what top-k, top-p and min-p leave of the logits, the likeliest first.
inline void cut_unlikely(std::span<const float> logits, const SamplingOptions& options, const Weight& weight,
                         std::vector<Candidate>& candidates) {
    double total = 0.0;  // of what top-k leaves
    if (options.top_k > 0 && options.top_k < logits.size()) {
        for (std::size_t i = 0; i < logits.size(); ++i) {
            if (logits[i] > -kInfinity) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
        keep_top_k(candidates, options.top_k);
        std::sort(candidates.begin(), candidates.end(), likelier);
        for (const Candidate& c : candidates) total += weight(c.logit);
    } else {
        for (const float logit : logits) total += weight(logit);
        // All tokens below this together weigh less than what top-p cuts off, so none of them is needed: a large vocabulary is not sorted.
        const double needed = std::max(options.min_p, (1.0 - options.top_p) * total / static_cast<double>(logits.size()));
        for (std::size_t i = 0; i < logits.size(); ++i) {
            const double w = weight(logits[i]);
            if (w > 0.0 && w >= needed) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
    }

    // From the likeliest down, until top-p has enough or min-p has no more. The heap sorts only as far as that.
    std::make_heap(candidates.begin(), candidates.end(), less_likely);
    const double wanted = options.top_p * total;
    double kept = 0.0;
    auto end = candidates.end();
    while (end != candidates.begin()) {
        const double w = weight(candidates.front().logit);
        const bool first = end == candidates.end();
        if (!first && (w < options.min_p || kept >= wanted)) break;
        std::pop_heap(candidates.begin(), end, less_likely);
        --end;
        kept += w;
    }
    // The kept ones now stand at the end of the list, the likeliest last.
    candidates.erase(candidates.begin(), end);
    std::reverse(candidates.begin(), candidates.end());
}

// Leaves those whose surprise is nearest to the mean of all candidates' (their entropy), the nearest first. With p = w / total, the
// logarithm of the total falls out of |-log p - entropy|: it is the distance of log w from its mean.
inline void keep_typical(double typical_p, const Weight& weight, std::vector<Candidate>& candidates) {
    double total = 0.0;
    double sum_of_logs = 0.0;
    for (const Candidate& c : candidates) {
        const double w = weight(c.logit);
        if (w == 0.0) continue;  // its logarithm may be -inf
        total += w;
        sum_of_logs += w * weight.log(c.logit);
    }
    const double mean_log = sum_of_logs / total;
    const auto less_typical = [&](const Candidate& a, const Candidate& b) {
        const double distance_a = std::abs(weight.log(a.logit) - mean_log);
        const double distance_b = std::abs(weight.log(b.logit) - mean_log);
        return distance_a != distance_b ? distance_a > distance_b : likelier(b, a);
    };
    std::make_heap(candidates.begin(), candidates.end(), less_typical);
    double kept = 0.0;
    auto end = candidates.end();
    do {
        kept += weight(candidates.front().logit);
        std::pop_heap(candidates.begin(), end, less_typical);
        --end;
    } while (end != candidates.begin() && kept < typical_p * total);
    candidates.erase(candidates.begin(), end);
    std::reverse(candidates.begin(), candidates.end());
}

inline TokenId draw_of(const std::vector<Candidate>& candidates, const Weight& weight, const TokenNoise& noise) {
    Race race(weight, noise);
    for (const Candidate& c : candidates) race.enter(c.token, c.logit);
    return race.winner();
}

// The likeliest token, the lowest id of equals; none when all are -inf or NaN.
inline std::optional<TokenId> argmax(std::span<const float> logits) {
    std::optional<TokenId> best;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] > (best ? logits[static_cast<std::size_t>(*best)] : -kInfinity)) best = static_cast<TokenId>(i);
    }
    return best;
}

inline std::optional<TokenId> draw(std::span<const float> logits, const SamplingOptions& options, const TokenNoise& noise) {
    const auto best = argmax(logits);
    if (!best) return std::nullopt;
    const float max = logits[static_cast<std::size_t>(*best)];
    if (std::isinf(max)) return std::nullopt;
    const Weight weight{max, options.temperature};
    const bool cut = (options.top_k > 0 && options.top_k < logits.size()) || options.top_p < 1.0 || options.min_p > 0.0;
    if (!cut && options.typical_p >= 1.0) return draw_of_all(logits, weight, noise);

    std::vector<Candidate> candidates;
    if (cut) {
        cut_unlikely(logits, options, weight, candidates);
    } else {
        for (std::size_t i = 0; i < logits.size(); ++i) {
            if (weight(logits[i]) > 0.0) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
    }
    if (options.typical_p < 1.0) keep_typical(options.typical_p, weight, candidates);
    return draw_of(candidates, weight, noise);
}

}  // namespace rafter::engine::tests::plain
