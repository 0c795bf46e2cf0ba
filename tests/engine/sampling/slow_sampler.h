// Sampling by its definitions, the slow way: sort everything, cut, renormalise, run the whole race.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/noise.h"

namespace rafter::engine::tests {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

inline std::vector<float> random_logits(std::mt19937& random, std::size_t n) {
    std::normal_distribution<float> normal(0.0F, 3.0F);
    std::vector<float> logits(n);
    for (float& logit : logits) logit = normal(random);
    return logits;
}

inline std::vector<float> logs(const std::vector<double>& p) {
    std::vector<float> logits;
    for (const double x : p) logits.push_back(static_cast<float>(std::log(x)));
    return logits;
}

// Locally typical sampling word by word: the surprise of each token beside the entropy, sorted by how far it is off, until the mass is
// there. p: sums to 1. The indices that stay.
inline std::vector<std::size_t> slow_typical(const std::vector<double>& p, double typical_p) {
    double entropy = 0.0;
    for (const double x : p) entropy -= x > 0.0 ? x * std::log(x) : 0.0;
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), 0U);
    const auto distance = [&](std::size_t i) { return std::abs(-std::log(p[i]) - entropy); };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return distance(a) < distance(b); });
    double mass = 0.0;
    std::size_t n = 0;
    while (n < order.size() && (n == 0 || mass < typical_p)) mass += p[order[n++]];
    order.resize(n);
    return order;
}

// The tokens that may be drawn, each with its probability.
inline std::map<TokenId, double> slow_distribution(const std::vector<float>& logits, const SamplingOptions& options) {
    std::vector<TokenId> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
    std::vector<long double> p;
    for (const TokenId id : order) p.push_back(std::exp((static_cast<long double>(logits[id]) - logits[order[0]]) / options.temperature));
    const auto renormalise = [&] {
        const long double total = std::accumulate(p.begin(), p.end(), 0.0L);
        for (long double& x : p) x /= total;
    };
    if (options.top_k > 0 && options.top_k < p.size()) p.resize(options.top_k);
    renormalise();
    long double sum = 0.0L;
    std::size_t n = 0;
    while (n < p.size() && (n == 0 || sum < options.top_p)) sum += p[n++];
    p.resize(n);
    const long double least = options.min_p * p[0];
    p.erase(std::remove_if(p.begin(), p.end(), [&](long double x) { return x < least; }), p.end());
    renormalise();
    if (options.typical_p < 1.0) {
        std::vector<long double> typical(p.size(), 0.0L);
        for (const std::size_t i : slow_typical({p.begin(), p.end()}, options.typical_p)) typical[i] = p[i];
        p = typical;
        renormalise();
    }
    std::map<TokenId, double> result;
    for (std::size_t i = 0; i < p.size(); ++i) {
        if (p[i] > 0.0L) result[order[i]] = static_cast<double>(p[i]);
    }
    return result;
}

// Of tokens with these weights, the one that the noise chooses: each time computed, the smallest taken.
inline TokenId slow_race(const std::map<TokenId, double>& weights, const TokenNoise& noise) {
    long double best = std::numeric_limits<long double>::infinity();
    TokenId winner = -1;
    for (const auto& [token, weight] : weights) {
        const long double time = -std::log1p(-static_cast<long double>(noise.uniform(static_cast<std::uint32_t>(token)))) / weight;
        if (time < best) {
            best = time;
            winner = token;
        }
    }
    return winner;
}

// Penalties as the sentence in request.h defines them, from the whole history each time.
inline std::vector<float> slow_penalties(std::vector<float> logits, const SamplingOptions& options, std::vector<TokenId> prompt,
                                         std::vector<TokenId> answer) {
    if (options.repeat_last_n > 0) {
        const std::size_t n_answer = std::min<std::size_t>(answer.size(), options.repeat_last_n);
        const std::size_t n_prompt = std::min<std::size_t>(prompt.size(), options.repeat_last_n - n_answer);
        answer.erase(answer.begin(), answer.end() - static_cast<std::ptrdiff_t>(n_answer));
        prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(n_prompt));
    }
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const auto token = static_cast<TokenId>(i);
        const auto n = std::count(answer.begin(), answer.end(), token);
        if (n > 0 || std::count(prompt.begin(), prompt.end(), token) > 0) {
            const auto repeat = static_cast<float>(options.repeat_penalty);
            logits[i] = logits[i] > 0 ? logits[i] / repeat : logits[i] * repeat;
        }
        if (n > 0)
            logits[i] -=
                static_cast<float>(options.frequency_penalty) * static_cast<float>(n) + static_cast<float>(options.presence_penalty);
    }
    return logits;
}

}  // namespace rafter::engine::tests
