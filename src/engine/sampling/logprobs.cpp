// Float64 throughout: with 10^5 tokens of tiny probability a float32 sum would lose the fifth digit.
#include "engine/sampling/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rafter::engine {
namespace {

constexpr std::size_t kBlock = 64;

// In lanes, which a compiler can make vectors of.
bool any_above(const float* logits, float least) {
    int above = 0;
    for (std::size_t i = 0; i < kBlock; ++i) above |= logits[i] > least ? 1 : 0;
    return above != 0;
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
    const std::size_t largest = backend::host_sampling_kernels().largest(logits.data(), logits.size());
    const double max = largest < logits.size() ? logits[largest] : -std::numeric_limits<float>::infinity();
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(logit - max);
    return max + std::log(sum);
}

TokenLogprobs logprobs_of(std::span<const float> logits, TokenId token, std::uint32_t n_top, std::span<const TokenId> probed) {
    const double normalizer = log_sum_exp(logits);
    TokenLogprobs result{.logprob = logits[static_cast<std::size_t>(token)] - normalizer, .top = {}};
    for (const TokenId id : probed) result.probed.push_back(logits[static_cast<std::size_t>(id)] - normalizer);
    const std::size_t n = std::min<std::size_t>(n_top, logits.size());
    if (n == 0) return result;
    // The n likeliest so far, as a heap whose top is the least likely of them.
    const auto likelier = [&](TokenId a, TokenId b) {
        const float x = logits[static_cast<std::size_t>(a)];
        const float y = logits[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
    };
    std::vector<TokenId> best;
    best.reserve(n + 1);
    for (std::size_t i = 0; i < logits.size(); ++i) {
        // Once there are n, only a logit above the least of them counts: of equal ones, the lower id is there already.
        while (best.size() == n && i % kBlock == 0 && i + kBlock <= logits.size() &&
               !any_above(logits.data() + i, logits[static_cast<std::size_t>(best.front())])) {
            i += kBlock;
        }
        if (i == logits.size()) break;
        const auto id = static_cast<TokenId>(i);
        if (best.size() == n && !likelier(id, best.front())) continue;
        best.push_back(id);
        std::push_heap(best.begin(), best.end(), likelier);
        if (best.size() <= n) continue;
        std::pop_heap(best.begin(), best.end(), likelier);
        best.pop_back();
    }
    std::sort_heap(best.begin(), best.end(), likelier);
    for (const TokenId id : best) result.top.emplace_back(id, logits[static_cast<std::size_t>(id)] - normalizer);
    return result;
}

}  // namespace rafter::engine
