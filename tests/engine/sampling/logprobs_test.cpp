// Log-probabilities against their definition, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/sampling/logprobs.h"
#include "tests/engine/sampling/slow_sampler.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

TEST(Logprobs, AreThoseOfSummingAndSortingAllTokensWhateverTheOrderOfTheLogits) {
    std::mt19937 random(41);
    for (int round = 0; round < rafter::tests::rounds(1000); ++round) {
        std::vector<float> logits = random_logits(random, 1 + random() % 700);
        if (round % 3 == 0) {
            for (float& logit : logits) logit = std::round(logit);
        }
        if (round % 5 == 0) std::ranges::sort(logits);
        if (round % 7 == 0) std::ranges::sort(logits, std::greater());
        if (round % 4 == 0) {
            for (std::size_t i = 0; i < logits.size(); i += 1 + random() % 5) logits[i] = -kInfinity;
            logits[random() % logits.size()] = 1.0F;
        }
        const double max = *std::ranges::max_element(logits);
        double sum = 0.0;
        for (const float logit : logits) sum += std::exp(logit - max);
        const double normalizer = max + std::log(sum);
        std::vector<TokenId> order(logits.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
        const auto n_top = static_cast<std::uint32_t>(random() % 30);
        order.resize(std::min<std::size_t>(n_top, order.size()));
        const auto token = static_cast<TokenId>(random() % logits.size());
        const std::vector<TokenId> probed = {static_cast<TokenId>(random() % logits.size()), token};
        const TokenLogprobs found = logprobs_of(logits, token, n_top, probed);
        ASSERT_EQ(found.probed, (std::vector<double>{logits[probed[0]] - normalizer, found.logprob}));
        ASSERT_EQ(found.logprob, logits[token] - normalizer) << "round " << round;
        ASSERT_EQ(found.top.size(), order.size());
        for (std::size_t i = 0; i < order.size(); ++i) {
            ASSERT_EQ(found.top[i].first, order[i]) << "round " << round << ", place " << i;
            ASSERT_EQ(found.top[i].second, logits[order[i]] - normalizer);
        }
    }
}

}  // namespace
}  // namespace rafter::engine
