// Several answers to one request: each is what its seed gives alone, and the best are those that the model itself finds the likeliest.
#include "engine/sampling/multiple_answers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "engine/sampling/noise.h"
#include "tests/engine/engine_rig.h"

namespace rafter::engine {
namespace {

using tests::ids;
using tests::request_of;
using tests::Rig;

constexpr double kInfiniteMean = std::numeric_limits<double>::infinity();

Request warm_request() {
    Request request = request_of("hello", 12);
    request.sampling.temperature = 3.0;
    request.sampling.seed = 77;
    return request;
}

TEST(DerivedSeed, IsTheSeedForTheFirstAndAnotherForEachOther) {
    std::set<std::uint64_t> seeds;
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
        EXPECT_EQ(derived_seed(seed, 0), seed);
        for (std::uint32_t i = 0; i < 1000; ++i) seeds.insert(derived_seed(seed, i));
    }
    EXPECT_EQ(seeds.size(), 5000U);
}

TEST(Several, TheIthAnswerIsThatOfItsSeedAloneHoweverManyThereAre) {
    const Request request = warm_request();
    std::set<std::vector<TokenId>> different;
    for (const std::uint32_t n : {1U, 3U, 13U}) {  // at most eight run at once
        const std::vector<StreamUpdate> together = Rig().run(several_requests(request, {.n = n}));
        ASSERT_EQ(together.size(), n);
        for (std::uint32_t i = 0; i < n; ++i) {
            Request alone = request;
            alone.sampling.seed = derived_seed(77, i);
            ASSERT_EQ(ids(together[i]), ids(Rig().run(alone)));
            EXPECT_FALSE(together[i].tokens[0].logprobs.has_value());
            different.insert(ids(together[i]));
        }
    }
    EXPECT_EQ(different.size(), 13U);
}

TEST(Several, BestOfTakesTheAnswersWithTheHighestMeanLogProbability) {
    Request request = warm_request();
    request.end_tokens = {0, 1, 2};  // answers of different lengths
    const SeveralOptions options{.n = 3, .best_of = 10};
    const std::vector<StreamUpdate> answers = Rig().run(several_requests(request, options));
    ASSERT_EQ(answers.size(), 10U);
    std::vector<double> means;
    std::vector<double> expected;
    std::set<std::size_t> lengths;
    for (const StreamUpdate& answer : answers) {
        means.push_back(mean_logprob(answer.tokens));
        // By the definition: the softmax after each history.
        std::vector<TokenId> history = request.prompt;
        double sum = 0.0;
        for (const TokenId id : ids(answer)) {
            const std::vector<float> logits = Rig().model.logits_after(history);
            double total = 0.0;
            for (const float logit : logits) total += std::exp(static_cast<double>(logit));
            sum += logits[static_cast<std::size_t>(id)] - std::log(total);
            history.push_back(id);
        }
        expected.push_back(sum / static_cast<double>(answer.tokens.size()));
        EXPECT_NEAR(means.back(), expected.back(), 1e-9);
        lengths.insert(answer.tokens.size());
    }
    EXPECT_GT(lengths.size(), 2U);
    const std::vector<std::uint32_t> best = best_answers(means, options.n);
    ASSERT_EQ(best.size(), 3U);
    for (std::size_t rank = 0; rank < best.size(); ++rank) {
        std::size_t n_better = 0;
        for (const double mean : expected) n_better += mean > expected[best[rank]];
        EXPECT_EQ(n_better, rank);
    }
}

TEST(Several, BestOfKeepsTheLogProbabilitiesThatWereAskedFor) {
    Request request = warm_request();
    EXPECT_EQ(several_requests(request, {.n = 2, .best_of = 4})[3].n_logprobs, 0U);
    request.n_logprobs = 5;
    EXPECT_EQ(several_requests(request, {.n = 2, .best_of = 4})[3].n_logprobs, 5U);
}

TEST(Several, EqualAnswersStandInOrderAndThoseWithoutANumberLast) {
    const std::vector<double> means{-2.0, -1.0, -kInfiniteMean, -1.0, -2.0};
    EXPECT_EQ(best_answers(means, 5), (std::vector<std::uint32_t>{1, 3, 0, 4, 2}));
    EXPECT_EQ(best_answers(means, 1), (std::vector<std::uint32_t>{1}));
    EXPECT_EQ(mean_logprob({}), -kInfiniteMean);
    std::vector<GeneratedToken> broken(2);
    broken[0].logprobs = TokenLogprobs{.logprob = -1.0, .top = {}};
    broken[1].logprobs = TokenLogprobs{.logprob = std::nan(""), .top = {}};
    EXPECT_EQ(mean_logprob(broken), -kInfiniteMean);
}

TEST(Several, OptionsAreCheckedBeforeUse) {
    const auto message = [](SeveralOptions options, double temperature = 1.0) {
        SamplingOptions sampling;
        sampling.temperature = temperature;
        const auto result = validate(options, sampling);
        return result.has_value() ? std::string() : result.error().message;
    };
    EXPECT_EQ(message({}), "");
    EXPECT_EQ(message({}, 0.0), "");
    EXPECT_EQ(message({.n = 128}), "");
    EXPECT_EQ(message({.n = 0}), "n: expected 1 to 128, found 0");
    EXPECT_EQ(message({.n = 129}), "n: expected 1 to 128, found 129");
    EXPECT_EQ(message({.n = 3, .best_of = 2}), "best-of: expected 3 (n) to 128, found 2");
    EXPECT_EQ(message({.n = 3, .best_of = 129}), "best-of: expected 3 (n) to 128, found 129");
    EXPECT_EQ(message({.n = 1, .best_of = 1}, 0.0), "");
    EXPECT_EQ(message({.n = 2}, 0.0), "n: several answers need a temperature above 0; with 0 all of them would be the same");
    EXPECT_EQ(message({.n = 1, .best_of = 2}, 0.0),
              "best-of: several answers need a temperature above 0; with 0 all of them would be the same");
}

}  // namespace
}  // namespace rafter::engine
