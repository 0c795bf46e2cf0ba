// Top-p without sorting: the kernels sum the weights of the tokens above a logit, and bisection finds the logit at which the sum is
// reached.
#include "engine/sampling/cut.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rafter::engine {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

bool less_likely(const Candidate& a, const Candidate& b) { return likelier(b, a); }  // as the heap wants it: its top is the likeliest

// The k likeliest, unordered.
void keep_k_likeliest(std::vector<Candidate>& candidates, std::size_t k) {
    if (k >= candidates.size()) return;
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k), candidates.end(), likelier);
    candidates.resize(k);
}

void assign(std::vector<Candidate>& candidates, const TokenList& list) {
    candidates.clear();
    for (std::size_t i = 0; i < list.n; ++i) candidates.push_back({list.logits[i], list.tokens[i]});
}

// From the likeliest down, until top-p has enough of `total` or min-p has no more. The heap sorts only as far as that.
void keep_until_enough(const SamplingOptions& options, const Weight& weight, double total, std::vector<Candidate>& candidates) {
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

// A logit below all those that weigh w or more. What is taken off is far above the rounding of the rest.
float below_weight(double w, const Weight& weight) {
    const double max = weight.max;
    const double logit = max + weight.temperature * (std::log(w) - 1e-6) - std::abs(max) * 1e-12;
    if (logit < -std::numeric_limits<float>::max()) return kMinusInfinity;
    return std::nextafter(static_cast<float>(logit), kMinusInfinity);
}

// Removes what min-p cuts off, by its exact weight.
void apply_min_p(double min_p, const Weight& weight, TokenList& list) {
    const std::size_t n = list.n;
    list.n = 0;
    for (std::size_t i = 0; i < n; ++i) {
        if (weight(list.logits[i]) < min_p) continue;
        list.logits[list.n] = list.logits[i];
        list.tokens[list.n] = list.tokens[i];
        list.weights[list.n++] = list.weights[i];
    }
}

// Removes all tokens after `last`, in the order of likelihood.
void keep_through(const Candidate& last, TokenList& list) {
    const std::size_t n = list.n;
    list.n = 0;
    for (std::size_t i = 0; i < n; ++i) {
        if (likelier(last, {list.logits[i], list.tokens[i]})) continue;
        list.logits[list.n] = list.logits[i];
        list.tokens[list.n++] = list.tokens[i];
    }
}

// A sum of weights that the likeliest tokens must reach, known but for a relative error. Sums of n weights in double are off by n * 2^-53
// at most in any order: that of the kept ones and the total by definition, and those of the kernels; and the kernels' weights by 1e-10.
struct Wanted {
    Wanted(double top_p, double total, std::size_t n)
        : error(1e-9 + 8.0 * 0x1p-53 * static_cast<double>(n)), least(top_p * total * (1.0 - error)), most(top_p * total * (1.0 + error)) {}
    [[nodiscard]] bool surely_reached(double sum) const { return sum * (1.0 - error) >= most; }
    [[nodiscard]] bool surely_missed(double sum) const { return sum * (1.0 + error) < least; }

    double error, least, most;
};

// Keeps the likeliest until `wanted` is reached: the last one's weight, or nothing where that is too close to say. The list holds them all.
std::optional<double> keep_until(const Wanted& wanted, const Weight& weight, const SamplingKernels& kernels, TokenList& list,
                                 std::vector<Candidate>& candidates) {
    constexpr std::size_t kFew = 32;  // are sorted
    float low = kMinusInfinity;       // reached by the tokens above
    float high = weight.max;          // not reached by those above
    std::size_t n_low = list.n;
    backend::Share above_high;
    while (n_low - above_high.n > kFew) {
        // Most lists thin out from their first element's logit upwards: bisection by value, from the lowest logit that there is.
        if (low == kMinusInfinity) {
            float lowest = high;
            for (std::size_t i = 0; i < list.n; ++i) lowest = std::min(lowest, list.logits[i]);
            low = std::nextafter(lowest, kMinusInfinity);
        }
        const auto middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2.0);
        if (middle <= low || middle >= high) break;  // all between are equal
        const backend::Share share = kernels.share_above(list, middle);
        if (wanted.surely_reached(share.weight)) {
            low = middle;
            n_low = share.n;
        } else if (wanted.surely_missed(share.weight)) {
            high = middle;
            above_high = share;
        } else {
            return std::nullopt;
        }
    }
    if (low > kMinusInfinity) kernels.keep_above(list, low);
    candidates.clear();
    for (std::size_t i = 0; i < list.n; ++i) {
        if (list.logits[i] <= high) candidates.push_back({list.logits[i], list.tokens[i]});
    }
    std::sort(candidates.begin(), candidates.end(), likelier);
    double sum = above_high.weight;
    for (const Candidate& c : candidates) {
        const double w = weight(c.logit);
        sum += w;
        if (wanted.surely_missed(sum)) continue;
        if (!wanted.surely_reached(sum)) return std::nullopt;
        keep_through(c, list);
        return w;
    }
    return std::nullopt;
}

}  // namespace

void keep_top_k(std::span<const float> logits, const SamplingOptions& options, const Weight& weight, const SamplingKernels& kernels,
                TokenList& list, std::vector<Candidate>& candidates) {
    const std::size_t k = options.top_k;
    const std::size_t full = std::min(logits.size(), std::max(2 * k, k + 1024));
    float above = kMinusInfinity;
    list.n = 0;
    for (std::size_t next = 0;;) {
        next = kernels.gather(logits.data(), next, logits.size(), above, full, list);
        assign(candidates, list);
        keep_k_likeliest(candidates, k);
        if (next >= logits.size()) break;
        // A later token has a higher id than all of these: if it is not above the least likely of k, it is none of the k likeliest.
        list.n = 0;
        for (const Candidate& c : candidates) {
            list.logits[list.n] = c.logit;
            list.tokens[list.n++] = c.token;
        }
        if (list.n == k) above = *std::min_element(list.logits, list.logits + k);
    }
    std::sort(candidates.begin(), candidates.end(), likelier);
    double total = 0.0;
    for (const Candidate& c : candidates) total += weight(c.logit);
    keep_until_enough(options, weight, total, candidates);
}

bool keep_likely(std::span<const float> logits, const SamplingOptions& options, const Weight& weight, const SamplingKernels& kernels,
                 TokenList& list, std::vector<Candidate>& candidates, EarlyRace* early) {
    constexpr double kLowestTemperature = 1e-30;
    if (weight.temperature < kLowestTemperature) return false;
    const auto n = static_cast<double>(logits.size());
    list.n = 0;
    if (options.top_p >= 1.0) {
        // Without the last of them the sum is at least min_p less than the total, which is at most n: where this is more than the sums'
        // errors, all are kept.
        if (options.min_p <= 32.0 * 0x1p-53 * n * n) return false;
        kernels.gather(logits.data(), 0, logits.size(), below_weight(options.min_p, weight), logits.size() + 1, list);
        apply_min_p(options.min_p, weight, list);
        return true;
    }
    // All tokens below this together weigh less than what top-p cuts off, so none of them is needed. The total is at least 1, the weight
    // of the likeliest.
    const double least = std::max(options.min_p, (1.0 - options.top_p) / n);
    const double total = kernels.weigh(logits.data(), logits.size(), weight.max, weight.temperature, below_weight(least, weight), list);
    const Wanted wanted(options.top_p, total, logits.size());
    const double needed = (1.0 - options.top_p) * total / n;
    const bool by_min_p = options.min_p >= needed * (1.0 + 1e-8);
    if (by_min_p) {
        apply_min_p(options.min_p, weight, list);
    } else if (options.min_p > needed * (1.0 - 1e-8)) {
        return false;
    }
    const double all = kernels.share_above(list, kMinusInfinity).weight;
    // Of a list that min-p made, all are kept when all but the last do not reach what top-p wants.
    if (by_min_p && all * (1.0 + wanted.error) - options.min_p < wanted.least) return true;
    if (!wanted.surely_reached(all)) return false;
    constexpr std::size_t kMany = 1024;
    if (early != nullptr && list.n > kMany) {
        Race race(weight, early->noise);
        race.enter(list, early->likeliest, kernels);
        // It stays where its own weight and that of all likelier ones, equal ones included, do not yet reach what top-p wants.
        const float logit = logits[static_cast<std::size_t>(race.winner())];
        const bool heavy = by_min_p || weight(logit) >= needed * (1.0 + 1e-8);
        if (heavy && wanted.surely_missed(kernels.share_above(list, std::nextafter(logit, kMinusInfinity)).weight)) {
            early->winner = race.winner();
            return true;
        }
    }
    const auto last = keep_until(wanted, weight, kernels, list, candidates);
    return last && (by_min_p || *last >= needed * (1.0 + 1e-8));
}

void keep_likely_exactly(std::span<const float> logits, const SamplingOptions& options, const Weight& weight,
                         std::vector<Candidate>& candidates) {
    double total = 0.0;
    for (const float logit : logits) total += weight(logit);
    const double needed = std::max(options.min_p, (1.0 - options.top_p) * total / static_cast<double>(logits.size()));
    candidates.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const double w = weight(logits[i]);
        if (w > 0.0 && w >= needed) candidates.push_back({logits[i], static_cast<TokenId>(i)});
    }
    keep_until_enough(options, weight, total, candidates);
}

// With p = w / total, the logarithm of the total falls out of |-log p - entropy|: it is the distance of log w from its mean.
void keep_typical(double typical_p, const Weight& weight, std::vector<Candidate>& candidates) {
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

}  // namespace rafter::engine
