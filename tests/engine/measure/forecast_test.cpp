// Forecasts of times against the times that come of the real scheduler, under work of many kinds; and what they are made from.
#include "engine/measure/forecast.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>

#include "tests/engine/measure/forecast_rig.h"

namespace rafter::engine {
namespace {

using namespace tests;

// Of a small model on two cores: 10 ms to read the weights, which 8 tokens share for nothing, then 0.8 ms a token.
double forecast_price(const model::StepShape& shape) {
    double seconds = std::max(10e-3, 3.6e-3 + 0.8e-3 * shape.n_tokens());
    for (const model::SequenceStep& s : shape.sequences) seconds += 0.4e-6 * s.n_past * (1.0 + 0.1 * s.n_new);
    return seconds;
}

SchedulerOptions served(std::uint32_t n_sequences) {
    SchedulerOptions options{.limits = {.n_tokens = 512, .n_outputs = 64},
                             .context = 8192,
                             .block_size = 16,
                             .n_blocks = {6000},
                             .windows = {0},
                             .cost = StepCost(forecast_price, 512, 8192),
                             .n_sequences = n_sequences};
    options.target_itl_seconds = options.cost.usual_itl_seconds(8192, n_sequences);
    return options;
}

Coming coming_of(std::mt19937& random, double seconds, std::uint32_t n_prompt, std::uint32_t max_tokens, std::uint32_t n_shared = 0) {
    Coming coming{.seconds = seconds, .request = {}, .said_max_tokens = 0};
    for (std::uint32_t i = 0; i < n_prompt; ++i) {
        coming.request.prompt.push_back(static_cast<TokenId>(i < n_shared ? i : random() % 50'000));
    }
    coming.request.max_tokens = max_tokens;
    return coming;
}

// As many a second, on average, at random.
std::vector<Coming> poisson(std::uint32_t n, double a_second, const std::function<Coming(std::mt19937&, std::size_t i)>& make) {
    std::mt19937 random(7);
    std::exponential_distribution<double> gap(a_second);
    std::vector<Coming> all;
    double seconds = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        seconds += gap(random);
        all.push_back(make(random, i));
        all.back().seconds = seconds;
    }
    return all;
}

// Medians and the 90th percentile of |predicted - came| / came.
struct Errors {
    double first_median = 0.0, first_p90 = 0.0, last_median = 0.0, first_mean = 0.0;
};
double quantile(std::vector<double> values, double q) {
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}
// Of what was predicted, as a share of what came.
Errors errors_of(const std::vector<Outcome>& outcomes, const char* name) {
    std::vector<double> first, last;
    double seconds = 0.0, predicted = 0.0, steps = 0.0;
    for (const Outcome& outcome : outcomes) {
        first.push_back(std::abs(outcome.predicted.first_token_seconds - outcome.first_token_seconds) / outcome.first_token_seconds);
        last.push_back(std::abs(outcome.predicted.last_token_seconds - outcome.last_token_seconds) / outcome.last_token_seconds);
        seconds += outcome.first_token_seconds;
        predicted += outcome.predicted.first_token_seconds;
        steps += outcome.predicted.n_steps;
    }
    const auto n = static_cast<double>(outcomes.size());
    const Errors errors{.first_median = quantile(first, 0.5),
                        .first_p90 = quantile(first, 0.9),
                        .last_median = quantile(last, 0.5),
                        .first_mean = seconds / n};
    std::string key;  // an attribute's name in the test's report
    for (const char c : std::string(name)) key += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    ::testing::Test::RecordProperty(key, fmt::format("first token: mean {:.3f} s, predicted {:.3f}, error median {:.1f}%, p90 {:.1f}%; "
                                                     "last: median {:.1f}%; {:.0f} steps a forecast",
                                                     errors.first_mean, predicted / n, 100 * errors.first_median, 100 * errors.first_p90,
                                                     100 * errors.last_median, steps / n));
    return errors;
}

Errors closed_loop(const char* name, SchedulerOptions options, std::uint32_t n_clients, std::uint32_t n, std::uint32_t n_shared = 0) {
    std::mt19937 random(1);
    ForecastCase made{.options = std::move(options), .host_seconds = 0.5e-3, .coming = {}, .n_clients = n_clients};
    for (std::uint32_t i = 0; i < n; ++i) made.coming.push_back(coming_of(random, 0.0, n_shared > 0 ? n_shared + 32 : 256, 64, n_shared));
    return errors_of(ForecastRun(std::move(made)).run(), name);
}

void expect_close(const Errors& errors) {
    EXPECT_LT(errors.first_median, 0.05);
    EXPECT_LT(errors.last_median, 0.05);
}

TEST(Forecast, OfClientsThatAskAgainWhenTheyHaveTheirAnswer) {
    expect_close(closed_loop("32 clients, 32 run", served(32), 32, 400));
    expect_close(closed_loop("32 clients, 8 run", served(8), 32, 400));
    SchedulerOptions large_steps = served(32);
    large_steps.target_itl_seconds = 0.0;
    expect_close(closed_loop("32 clients, 32 run, no target", large_steps, 32, 400));
}

TEST(Forecast, OfPromptsThatShareTheirBeginning) {
    expect_close(closed_loop("16 clients, 1000 tokens shared, 16 run", served(16), 16, 300, 1000));
    expect_close(closed_loop("16 clients, 1000 tokens shared, 4 run", served(4), 16, 300, 1000));
}

TEST(Forecast, OfStepsThatTakeOtherTimesThanPredicted) {
    std::mt19937 random(1), noise(2);
    std::lognormal_distribution<double> factor(0.0, 0.3);
    ForecastCase made{.options = served(32), .host_seconds = 0.5e-3, .coming = {}, .n_clients = 32};
    made.step_seconds = [&, cost = made.options.cost](const model::StepShape& shape) { return cost.seconds(shape) * factor(noise); };
    for (int i = 0; i < 400; ++i) made.coming.push_back(coming_of(random, 0.0, 256, 64));
    EXPECT_LT(errors_of(ForecastRun(std::move(made)).run(), "32 clients, steps vary by 30%").first_median, 0.15);
}

TEST(Forecast, OfRequestsThatComeAtRandom) {
    const auto usual = [](std::mt19937& random, std::size_t) { return coming_of(random, 0.0, 64 + random() % 400, 16 + random() % 100); };
    // Alone, a request takes about 0.2 s of prompt and its share of the answers' steps.
    for (const double a_second : {0.5, 2.0, 3.5, 8.0}) {
        ForecastCase made{.options = served(16), .host_seconds = 0.5e-3, .coming = poisson(400, a_second, usual)};
        const std::string name = "at random, " + std::to_string(a_second) + " a second";
        EXPECT_LT(errors_of(ForecastRun(std::move(made)).run(), name.c_str()).first_median, 0.10);
    }
}

TEST(Forecast, OfRequestsBesideLongPrompts) {
    const auto mixed = [](std::mt19937& random, std::size_t i) {
        return i % 10 == 5 ? coming_of(random, 0.0, 4000, 32) : coming_of(random, 0.0, 50 + random() % 100, 64);
    };
    for (const std::uint32_t n_sequences : {4U, 16U}) {
        ForecastCase made{.options = served(n_sequences), .host_seconds = 0.5e-3, .coming = poisson(300, 1.2, mixed)};
        const std::string name = "long prompts beside, " + std::to_string(n_sequences) + " run";
        EXPECT_LT(errors_of(ForecastRun(std::move(made)).run(), name.c_str()).first_median, 0.10);
    }
}

TEST(Forecast, OfAFullCache) {
    SchedulerOptions options = served(32);
    options.n_blocks = {200};  // of 20 tokens more than ten requests
    EXPECT_LT(closed_loop("32 clients, the cache has room for 10", options, 32, 300).first_median, 0.10);
}

TEST(Forecast, OfAnswersThatEndByThemselves) {
    const auto answers = [](std::mt19937& random, std::size_t) {
        Coming coming =
            coming_of(random, 0.0, 200, 1 + static_cast<std::uint32_t>(std::exponential_distribution<double>(1.0 / 80)(random)));
        coming.said_max_tokens = 512;
        coming.request.max_tokens = std::min(512U, coming.request.max_tokens);
        return coming;
    };
    ForecastCase made{.options = served(8), .host_seconds = 0.5e-3, .coming = poisson(400, 4.0, answers)};
    EXPECT_LT(errors_of(ForecastRun(std::move(made)).run(), "answers of unknown length, 8 run").first_median, 0.20);
}

TEST(Forecast, SaysWhatTakesTheTime) {
    const auto bound_of = [](std::uint32_t n_prompt, std::uint32_t n_running) {
        const SchedulerOptions options = served(16);
        Forecaster forecaster(options);
        SchedulerOutlook outlook;
        outlook.cost = options.cost;
        outlook.n_blocks = options.n_blocks[0];
        for (std::uint32_t i = 0; i < n_running; ++i) {
            outlook.running.push_back({.n_prompt = 100, .n_tokens = 101, .n_computed = 100, .max_tokens = 200});
        }
        const std::vector<WaitingSequence> line{{.n_prompt = n_prompt, .max_tokens = 10, .asked = true}};
        return forecaster.forecast({.outlook = outlook, .line = line, .prompts = RecentPrompts(0, 16), .answers = {}, .coming = {}});
    };
    EXPECT_EQ(bound_of(4, 0).bound(), "memory");
    EXPECT_EQ(bound_of(1000, 0).bound(), "compute");
    EXPECT_EQ(bound_of(1000, 0).queue_seconds, 0.0);
    EXPECT_EQ(bound_of(100, 16).bound(), "queue");
}

TEST(AnswerLengths, ExpectsAnswersAsTheyWereAndCutOnesAsLongerThanTheyWere) {
    AnswerLengths lengths;
    EXPECT_EQ(lengths.expect(0, 100, 0.5), 100U);  // nothing is known
    for (std::uint32_t n = 1; n <= 100; ++n) lengths.add(n, false);
    EXPECT_EQ(lengths.expect(0, 1000, 0.495), 50U);
    EXPECT_EQ(lengths.expect(90, 1000, 0.495), 95U);
    EXPECT_EQ(lengths.expect(0, 30, 0.9), 30U);
    EXPECT_EQ(lengths.expect(100, 1000, 0.5), 1000U);
    AnswerLengths cut;
    for (std::uint32_t n = 1; n <= 60; ++n) cut.add(64, true);
    for (std::uint32_t n = 1; n <= 60; ++n) cut.add(200, false);
    EXPECT_EQ(cut.expect(0, 1000, 0.1), 200U);
}

kv::PrefixKey key_of(kv::BlockHashes& hashes, const std::vector<TokenId>& tokens) { return hashes.key(tokens, "", 4); }

TEST(RecentPrompts, KnowTheBlocksThatWereUsedLast) {
    RecentPrompts prompts(4, 4);
    const std::vector<TokenId> a{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, b{1, 2, 3, 4, 5, 6, 7, 0}, c{20, 21, 22, 23, 24, 25, 26, 27};
    kv::BlockHashes of_a, of_b, of_c;
    TokenStream stream_a, stream_b, stream_c;
    EXPECT_EQ(prompts.expect(key_of(of_a, a)).n_tokens, 0U);
    prompts.add(&stream_a, {}, key_of(of_a, a));
    EXPECT_EQ(prompts.expect(key_of(of_a, a)).n_tokens, 12U);
    EXPECT_EQ(prompts.expect(key_of(of_a, a)).provider, prompts.find(&stream_a)->number);
    EXPECT_EQ(prompts.expect(key_of(of_b, b)).n_tokens, 7U);  // part of a block
    prompts.add(&stream_c, {}, key_of(of_c, c));              // the last block of a goes
    EXPECT_EQ(prompts.n_blocks_known(), 4U);
    EXPECT_EQ(prompts.expect(key_of(of_c, c)).n_tokens, 8U);
    EXPECT_EQ(prompts.expect(key_of(of_a, a).first(12)).n_tokens, 12U);  // by its tokens, after the block before it
    prompts.forget(&stream_c, key_of(of_c, c).hashes);
    EXPECT_EQ(prompts.expect(key_of(of_c, c)).n_tokens, 0U);
    EXPECT_EQ(prompts.find(&stream_c), nullptr);
    prompts.end(&stream_a);
    EXPECT_EQ(prompts.find(&stream_a), nullptr);
    EXPECT_EQ(prompts.expect(key_of(of_a, a)).n_tokens, 12U);
}

TEST(ComingRequests, AreThoseOfClientsWhoHaveTheirAnswers) {
    ComingRequests coming;
    double now = 0.0;
    for (int i = 0; i < 4; ++i) coming.came(now, 100, 40, 8);
    for (int i = 0; i < 40; ++i) {  // each asks again after half a second
        now += 1.0;
        coming.ended(now);
        now += 0.5;
        coming.came(now, 100, 40, 8);
    }
    const ComingRequests::Expected expected = coming.expected(now);
    EXPECT_EQ(expected.n_clients, 4U);
    EXPECT_EQ(expected.n_prompt, 100U);
    EXPECT_EQ(expected.n_cached, 40U);
    EXPECT_EQ(expected.max_tokens, 8U);
    EXPECT_NEAR(expected.per_second_and_client, 2.0, 0.3);
    // They do not come again.
    for (int i = 0; i < 4; ++i) coming.ended(now);
    EXPECT_LT(coming.expected(now + 100.0).per_second_and_client, 0.2);
}

}  // namespace
}  // namespace rafter::engine
