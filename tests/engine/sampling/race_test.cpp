// How often the sampler draws what: each token as often as its probability says, and the same token of two distributions as often as
// their overlap promises.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/sampling/sampler.h"
#include "tests/engine/sampling/slow_sampler.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

// The chi-square value that a right sampler exceeds once in about 10^5 times: Wilson and Hilferty's approximation.
double chi_square_limit(double freedom) {
    const double x = 2.0 / (9.0 * freedom);
    return freedom * std::pow(1.0 - x + 4.3 * std::sqrt(x), 3.0);
}

// expected: a probability for each token that may be there.
::testing::AssertionResult is_distributed_as(const std::map<TokenId, double>& seen, const std::map<TokenId, double>& expected) {
    double n_draws = 0.0;
    for (const auto& [token, n] : seen) {
        if (expected.count(token) == 0) return ::testing::AssertionFailure() << "token " << token << " was cut off, but drawn";
        n_draws += n;
    }
    double chi_square = 0.0;
    double rare_expected = 0.0;  // cells of less than ten are one
    double rare_seen = 0.0;
    int n_cells = 0;
    const auto add_cell = [&](double wanted, double found) {
        chi_square += (found - wanted) * (found - wanted) / wanted;
        ++n_cells;
    };
    for (const auto& [token, p] : expected) {
        const auto it = seen.find(token);
        const double n = it == seen.end() ? 0.0 : it->second;
        if (p * n_draws >= 10.0) {
            add_cell(p * n_draws, n);
        } else {
            rare_expected += p * n_draws;
            rare_seen += n;
        }
    }
    if (rare_expected >= 1.0) add_cell(rare_expected, rare_seen);
    if (n_cells < 2 || chi_square < chi_square_limit(n_cells - 1)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "chi-square " << chi_square << " over " << n_cells << " cells";
}

// What the request's options make of the logits after this answer.
std::map<TokenId, double> expected_of(const Request& request, std::vector<float> logits, const std::vector<TokenId>& answer) {
    for (const auto& [token, bias] : request.sampling.logit_bias) logits[static_cast<std::size_t>(token)] += bias;
    logits = slow_penalties(logits, request.sampling, request.prompt, answer);
    if (answer.size() < request.min_tokens) {
        for (const TokenId token : request.end_tokens) logits[static_cast<std::size_t>(token)] = -kInfinity;
    }
    return slow_distribution(logits, request.sampling);
}

std::map<TokenId, double> drawn_of(const Request& request, const std::vector<float>& logits, const std::vector<TokenId>& answer,
                                   int n_draws) {
    Sampler sampler(request);
    for (const TokenId token : answer) sampler.accept(token);
    SamplerScratch scratch;
    std::map<TokenId, double> seen;
    for (int i = 0; i < n_draws; ++i) seen[sampler.sample(logits, static_cast<std::uint32_t>(i), scratch).value_or(-1)] += 1.0;
    return seen;
}

TEST(Race, DrawsEachTokenAsOftenAsItsProbabilitySaysWithEachOptionAndWithAll) {
    const std::vector<float> logits{1.0F, 0.2F, -0.5F, 2.0F, 0.0F, -3.0F, 1.5F, 0.7F, -kInfinity};
    const std::vector<TokenId> answer{3, 6, 6};
    Request plain;
    plain.prompt = {1, 2};
    plain.end_tokens = {0, 7};
    plain.sampling.temperature = 1.3;
    plain.sampling.seed = 31;
    std::vector<std::pair<std::string, Request>> cases{{"plain", plain}};
    Request all = plain;
    const auto with = [&](const std::string& name, const auto& change) {
        Request& alone = cases.emplace_back(name, plain).second;
        change(alone, alone.sampling);
        change(all, all.sampling);
        ASSERT_NE(expected_of(alone, logits, answer), expected_of(plain, logits, answer)) << name << " changes nothing";
    };
    with("temperature", [](auto&, auto& o) { o.temperature = 2.5; });
    with("top-k", [](auto&, auto& o) { o.top_k = 7; });
    with("top-p", [](auto&, auto& o) { o.top_p = 0.95; });
    with("min-p", [](auto&, auto& o) { o.min_p = 0.12; });
    with("typical-p", [](auto&, auto& o) { o.typical_p = 0.8; });
    with("logit bias", [](auto&, auto& o) { o.logit_bias = {{5, 2.0F}, {3, -1.0F}}; });
    with("repeat penalty", [](auto&, auto& o) { o.repeat_penalty = 1.2; });
    with("frequency penalty", [](auto&, auto& o) { o.frequency_penalty = 0.3; });
    with("presence penalty", [](auto&, auto& o) { o.presence_penalty = 0.1; });
    with("min-tokens", [](auto& r, auto&) { r.min_tokens = 4; });
    cases.emplace_back("all", all);
    for (const auto& [name, request] : cases) {
        const auto expected = expected_of(request, logits, answer);
        EXPECT_GE(expected.size(), 4U) << name;
        EXPECT_TRUE(is_distributed_as(drawn_of(request, logits, answer, rafter::tests::rounds(1'000'000)), expected)) << name;
    }
}

TEST(Race, DrawsAsItShouldFromManyDistributionsWithAllOptionsOn) {
    std::mt19937 random(12);
    std::size_t most_tokens = 0;
    for (int round = 0; round < 20; ++round) {
        Request request;
        request.prompt = {1, 2, 3, 4};
        request.end_tokens = {7, 50};
        request.min_tokens = 5;
        SamplingOptions& options = request.sampling;
        options.logit_bias = {{5, 2.0F}, {6, -2.0F}, {7, 3.0F}};
        options.repeat_penalty = 1.2;
        options.frequency_penalty = 0.3;
        options.presence_penalty = 0.1;
        options.temperature = 1.5;
        options.top_k = 40;
        options.top_p = 0.97;
        options.min_p = 0.002;
        options.typical_p = 0.3 + 0.05 * (random() % 14);
        options.seed = random();
        const std::vector<TokenId> answer{3, 9, 9};
        const std::vector<float> logits = random_logits(random, 60);
        const auto expected = expected_of(request, logits, answer);
        most_tokens = std::max(most_tokens, expected.size());
        EXPECT_TRUE(is_distributed_as(drawn_of(request, logits, answer, rafter::tests::rounds(20'000)), expected)) << "round " << round;
    }
    EXPECT_GT(most_tokens, 10U);
}

TEST(Race, IsAsFairOverSeedsAsItIsOverPositions) {
    const std::vector<float> logits{0.0F, 1.0F, 2.0F, 0.5F, -1.0F};
    SamplingOptions options;
    options.temperature = 1.0;
    const int n_draws = rafter::tests::rounds(200'000);
    SamplerScratch scratch;
    std::map<TokenId, double> over_low;
    std::map<TokenId, double> over_high;
    for (int i = 0; i < n_draws; ++i) {
        const auto seed = static_cast<std::uint64_t>(i);
        over_low[*draw(logits, options, TokenNoise(seed, 17), scratch)] += 1.0;
        over_high[*draw(logits, options, TokenNoise(seed << 32, 17), scratch)] += 1.0;
    }
    EXPECT_TRUE(is_distributed_as(over_low, slow_distribution(logits, options)));
    EXPECT_TRUE(is_distributed_as(over_high, slow_distribution(logits, options)));
}

TEST(Race, OfManyNearlyEqualTokensIsWonByTheOneThatThePlainFormulaNames) {
    std::mt19937 random(13);
    SamplingOptions options;
    options.temperature = 1.0;
    SamplerScratch scratch;
    for (const float spread : {0.0F, 1e-6F, 0.1F, 3.0F, 30.0F, 1000.0F}) {
        std::vector<float> logits = random_logits(random, 9999);
        for (float& logit : logits) logit *= spread / 3.0F;
        const auto expected = slow_distribution(logits, options);
        for (int i = 0; i < rafter::tests::rounds(100); ++i) {
            const TokenNoise noise(random(), random());
            ASSERT_EQ(draw(logits, options, noise, scratch), slow_race(expected, noise)) << "spread " << spread << ", draw " << i;
        }
    }
}

TEST(Race, GivesATokenTheSameTimeWhateverItsPlaceAmongTheCandidates) {
    // Lists in different orders and of different lengths: what wins the longer race and is in the shorter one wins there too.
    std::mt19937 random(14);
    SamplerScratch scratch;
    int n_same = 0;
    for (int round = 0; round < rafter::tests::rounds(3000); ++round) {
        const std::vector<float> logits = random_logits(random, 30);
        SamplingOptions options;
        options.temperature = 2.0;
        const TokenNoise noise(random(), random());
        const auto of_all = draw(logits, options, noise, scratch);
        options.top_k = 1 + random() % 29;
        const auto of_some = draw(logits, options, noise, scratch);
        const bool kept = slow_distribution(logits, options).count(*of_all) > 0;
        ASSERT_EQ(of_some == of_all, kept) << "round " << round;
        n_same += kept ? 1 : 0;
    }
    EXPECT_GT(n_same, rafter::tests::rounds(1000));
}

double total_variation(const std::map<TokenId, double>& p, const std::map<TokenId, double>& q) {
    double overlap = 0.0;
    for (const auto& [token, x] : p) {
        const auto it = q.find(token);
        if (it != q.end()) overlap += std::min(x, it->second);
    }
    return 1.0 - overlap;
}

// The chance that races over p and q with the same noise have one winner. Token t wins both when its time is below
// E_j * min(p_t / p_j, q_t / q_j) of every other j, which exponential times are with probability 1 / sum_j max(p_j / p_t, q_j / q_t).
double agreement(const std::map<TokenId, double>& p, const std::map<TokenId, double>& q) {
    const auto at = [](const std::map<TokenId, double>& x, TokenId token) {
        const auto it = x.find(token);
        return it == x.end() ? 0.0 : it->second;
    };
    std::map<TokenId, double> either = p;
    either.insert(q.begin(), q.end());
    double sum = 0.0;
    for (const auto& [t, p_t] : p) {
        const double q_t = at(q, t);
        if (q_t == 0.0) continue;
        double slower = 0.0;
        for (const auto& [j, unused] : either) slower += std::max(at(p, j) / p_t, at(q, j) / q_t);
        sum += 1.0 / slower;
    }
    return sum;
}

// Logits that lie so far from others as a draft model's may.
std::vector<float> moved(std::mt19937& random, std::vector<float> logits, float by) {
    std::normal_distribution<float> normal(0.0F, by);
    for (float& logit : logits) logit += normal(random);
    return logits;
}

TEST(Coupling, DrawsOfTwoDistributionsAgreeAsOftenAsTheyCanWithAndWithoutCuts) {
    std::mt19937 random(15);
    for (int round = 0; round < 40; ++round) {
        const std::vector<float> a = random_logits(random, 2 + random() % 50);
        const std::vector<float> b = moved(random, a, std::exp2(static_cast<float>(random() % 7) - 4.0F));
        SamplingOptions options;
        options.temperature = 0.5 + 0.1 * (random() % 15);
        if (round % 2 == 1) {
            options.top_k = 1 + random() % 50;
            options.top_p = 0.5 + 0.005 * (random() % 101);
            options.typical_p = 0.5 + 0.005 * (random() % 101);
        }
        const auto p = slow_distribution(a, options);
        const auto q = slow_distribution(b, options);
        SamplerScratch scratch;
        const int n_draws = rafter::tests::rounds(20'000);
        int n_equal = 0;
        for (int i = 0; i < n_draws; ++i) {
            const TokenNoise noise(round, i);
            n_equal += draw(a, options, noise, scratch) == draw(b, options, noise, scratch) ? 1 : 0;
        }
        const double tv = total_variation(p, q);
        const double expected = agreement(p, q);
        ASSERT_GE(expected, (1.0 - tv) / (1.0 + tv) - 1e-12);
        ASSERT_LE(expected, 1.0 - tv + 1e-12);
        const double spread = std::sqrt(expected * (1.0 - expected) / n_draws);
        ASSERT_NEAR(static_cast<double>(n_equal) / n_draws, expected, 4.5 * spread + 1.0 / n_draws) << "round " << round << ", TV " << tv;
    }
}

// Beside what a drafter gets whose draft tokens are accepted with probability min(1, p / q): 1 - TV (Leviathan et al. 2023). The numbers go
// into the test's properties: --gtest_output=json.
TEST(Coupling, LosesLittleAgainstARejectionTestThatKnowsBothDistributions) {
    std::mt19937 random(16);
    for (const auto& [name, by] : {std::pair{"0.1", 0.1F}, {"0.3", 0.3F}, {"1", 1.0F}, {"2", 2.0F}, {"4", 4.0F}}) {
        constexpr int kPairs = 10;
        double lowest = 0.0;
        double coupled = 0.0;
        double rejection = 0.0;
        for (int i = 0; i < kPairs; ++i) {
            SamplingOptions options;
            options.temperature = 1.0;
            const std::vector<float> logits = random_logits(random, 200);
            const auto p = slow_distribution(logits, options);
            const auto q = slow_distribution(moved(random, logits, by), options);
            const double tv = total_variation(p, q);
            lowest += (1.0 - tv) / (1.0 + tv) / kPairs;
            coupled += agreement(p, q) / kPairs;
            rejection += (1.0 - tv) / kPairs;
        }
        RecordProperty(std::string("moved_by_") + name, "lowest " + std::to_string(lowest) + ", coupled " + std::to_string(coupled) +
                                                            ", rejection " + std::to_string(rejection));
        EXPECT_GE(coupled, lowest);
        EXPECT_LE(coupled, rejection);
        EXPECT_GT(coupled, 0.8 * rejection) << "moved by " << name;
    }
}

}  // namespace
}  // namespace rafter::engine
