// Workloads are what they say, and the simulation is the scheduler with another clock.
#include "engine/workload.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "engine/simulator.h"
#include "tests/engine/engine_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

double price(const model::StepShape& shape) { return 5e-3 + 0.2e-3 * shape.n_tokens(); }

SchedulerOptions simulated(std::uint32_t n_blocks) {
    return {.limits = {.n_tokens = 512, .n_outputs = 64},
            .context = 2048,
            .block_size = 16,
            .n_blocks = {n_blocks},
            .windows = {0},
            .cost = StepCost(price, 512, 2048)};
}

TEST(LogHistogram, QuantilesLieWithinAPercentOfTheSortedSamples) {
    std::mt19937 random(1);
    std::lognormal_distribution<double> draw(-4.0, 2.0);
    LogHistogram histogram;
    std::vector<double> samples;
    for (int i = 0; i < 20'000; ++i) {
        samples.push_back(draw(random));
        histogram.add(samples.back());
    }
    std::sort(samples.begin(), samples.end());
    for (const double fraction : {0.0, 0.1, 0.5, 0.9, 0.99, 1.0}) {
        const double exact = samples[static_cast<std::size_t>(fraction * 19'999.0)];
        EXPECT_NEAR(histogram.quantile(fraction), exact, 0.011 * exact) << fraction;
    }
    EXPECT_EQ(LogHistogram().quantile(0.5), 0.0);
}

TEST(Workload, ArrivesAtTheRateAskedForAndSharesWhatItShould) {
    const WorkloadOptions options{
        .n_requests = 4000, .prompt = 20, .generate = 3, .shared_prefix = 12, .requests_per_second = 50.0, .seed = 5, .n_vocab = 1000};
    Workload workload(options);
    Workload again(options);
    std::vector<TokenId> first;
    double last = 0.0;
    std::uint64_t n = 0;
    while (const auto arrival = workload.next()) {
        const auto same = again.next();
        ASSERT_EQ(arrival->request.prompt, same->request.prompt);
        ASSERT_GE(arrival->seconds, last);
        last = arrival->seconds;
        if (n++ == 0) first = arrival->request.prompt;
        ASSERT_EQ(arrival->request.prompt.size(), 20U);
        ASSERT_TRUE(std::equal(first.begin(), first.begin() + 12, arrival->request.prompt.begin()));
        if (n > 1) {
            ASSERT_NE(first, arrival->request.prompt);
        }
    }
    EXPECT_EQ(n, 4000U);
    EXPECT_NEAR(last, 4000.0 / 50.0, 5.0);  // the gaps' sum has a deviation of 1.3 s
}

TEST(Workload, ATraceSaysWhereItIsWrong) {
    const std::string path = testing::TempDir() + "trace.jsonl";
    const auto read = [&](const std::string& text) {
        std::ofstream(path) << text;
        return Workload::read(path, {.prompt = 8, .generate = 4, .n_vocab = 100});
    };
    auto good =
        read("{\"arrival_seconds\": 0, \"prompt_tokens\": 30, \"output_tokens\": 7}\n\n{\"arrival_seconds\": 1.5, \"priority\": 2}\n");
    ASSERT_TRUE(good.has_value());
    EXPECT_EQ(good->n_requests(), 2U);
    EXPECT_EQ(good->longest(), 37U);
    EXPECT_EQ(good->next()->request.max_tokens, 7U);
    EXPECT_EQ(good->next()->request.priority, 2);
    EXPECT_FALSE(good->next().has_value());
    for (const char* wrong :
         {"", "[]", "{", "{\"prompt_tokens\": 3}", "{\"arrival_seconds\": -1}", "{\"arrival_seconds\": \"now\"}",
          "{\"arrival_seconds\": 0, \"prompt_tokens\": 0}", "{\"arrival_seconds\": 0, \"prompt_tokens\": 1e99}",
          "{\"arrival_seconds\": 0, \"prompt_tokens\": 5, \"shared_tokens\": 5}", "{\"arrival_seconds\": 2}\n{\"arrival_seconds\": 1}",
          "{\"arrival_seconds\": 0, \"output_tokens\": 99999999999}"}) {
        EXPECT_FALSE(read(wrong).has_value()) << wrong;
    }
    std::remove(path.c_str());
    EXPECT_FALSE(Workload::read(path, {}).has_value());
}

TEST(Workload, TheEngineAnswersEveryRequestWithTheSameTokensInAnyCompany) {
    std::vector<std::uint64_t> hashes;
    for (const std::uint32_t n_blocks : {60U, 400U}) {
        for (const double rate : {0.0, 20'000.0}) {
            RigOptions setup;
            setup.n_blocks = n_blocks;
            Rig rig(setup);
            EngineWorker worker(rig.engine);
            Workload workload({.n_requests = 60,
                               .prompt = 24,
                               .generate = 10,
                               .shared_prefix = 16,
                               .requests_per_second = rate,
                               .seed = 3,
                               .n_vocab = 26});
            const auto report = run_workload(workload, worker, {});
            ASSERT_TRUE(report.has_value());
            EXPECT_EQ(report->n_requests, 60U);
            EXPECT_EQ(report->n_failed, 0U);
            EXPECT_EQ(report->generated_tokens, 600U);
            EXPECT_EQ(report->ttft_seconds.n(), 60U);
            EXPECT_EQ(report->itl_seconds.n(), 540U);
            EXPECT_GT(report->cache.tokens_found, 59U * 15U);
            EXPECT_LE(report->mean_wasted, 2.0);  // of blocks of 4
            hashes.push_back(report->tokens_hash);
        }
    }
    EXPECT_EQ(hashes, std::vector<std::uint64_t>(4, hashes[0]));
}

TEST(Simulator, ASingleRequestTakesTheSumOfItsSteps) {
    SimulatedWorker worker(simulated(200), 1e-3);
    Workload workload({.n_requests = 1, .prompt = 700, .generate = 11, .n_vocab = 1000});
    const auto report = run_workload(workload, worker, {});
    ASSERT_TRUE(report.has_value());
    const double prefill = price({.sequences = {{512, 0, 0}}}) + price({.sequences = {{188, 512, 1}}}) + 2e-3;
    const double decode = price({.sequences = {{1, 700, 1}}}) + 1e-3;
    EXPECT_NEAR(report->ttft_seconds.most(), prefill, 0.05 * prefill);
    EXPECT_NEAR(report->itl_seconds.mean(), decode, 0.01 * decode);
    EXPECT_NEAR(report->seconds, prefill + 10 * decode, 0.05 * report->seconds);
}

TEST(Simulator, TheCacheSavesWhatPromptsShare) {
    double seconds[2] = {};
    for (const bool cached : {false, true}) {
        SchedulerOptions options = simulated(3000);
        options.prefix_cache = cached;
        SimulatedWorker worker(options, 0.0);
        Workload workload({.n_requests = 200, .prompt = 1032, .generate = 32, .shared_prefix = 1000, .n_vocab = 1000});
        const auto report = run_workload(workload, worker, {});
        ASSERT_TRUE(report.has_value());
        seconds[cached] = report->seconds;
    }
    EXPECT_GT(seconds[0], 4.0 * seconds[1]);
}

TEST(Simulator, NobodyStarvesBesideAStreamOfOthers) {
    const std::string path = testing::TempDir() + "stream.jsonl";
    std::ofstream trace(path);
    // Short requests faster than they can be served, and one long prompt among them.
    for (int i = 0; i < 2000; ++i) {
        trace << "{\"arrival_seconds\": " << 0.002 * i << ", \"prompt_tokens\": " << (i == 100 ? 1500 : 20)
              << ", \"output_tokens\": " << (i == 100 ? 11 : 10) << "}\n";
    }
    trace.close();
    Workload workload = *Workload::read(path, {.n_vocab = 1000});
    SchedulerOptions options = simulated(600);
    options.target_itl_seconds = 0.03;
    SimulatedWorker worker(options, 0.0);
    const auto report = run_workload(workload, worker, {});
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->n_failed, 0U);
    // In order of arrival nobody waits longer than for what came before; the long prompt's is among the longest waits but no more than
    // that.
    EXPECT_LT(report->ttft_seconds.most(), report->seconds - 3.9);
    EXPECT_LT(report->itl_seconds.quantile(0.99), 0.06);
}

TEST(Simulator, RandomWorkOnAFullCacheLeavesItEmpty) {
    SchedulerOptions options = simulated(40);
    options.limits.n_outputs = 12;
    SimulatedWorker worker(options, 0.0);
    std::mt19937 random(4);
    std::vector<std::shared_ptr<TokenStream>> streams;
    const int n = rafter::tests::rounds(100'000);
    for (int i = 0; i < n; ++i) {
        Request request;
        request.prompt.assign(1 + random() % 80, static_cast<TokenId>(random() % 50));
        for (TokenId& token : request.prompt) token = random() % 8 ? token : static_cast<TokenId>(random() % 4);
        request.max_tokens = random() % 8 ? 1 + random() % 5 : 80;  // longer than expected
        request.priority = static_cast<int>(random() % 3);
        streams.push_back(*worker.submit(std::move(request)));
        if (random() % 5 == 0) streams[random() % streams.size()]->cancel();
        for (std::uint32_t steps = random() % 6; steps > 0; --steps) (void)worker.step();
        if (i % 64 == 0) worker.scheduler().check();
        std::erase_if(streams, [](const auto& stream) { return stream->take().finish.has_value(); });
    }
    while (worker.step()) {}
    for (const auto& stream : streams) EXPECT_TRUE(stream->take().finish.has_value());
    worker.scheduler().check();
    EXPECT_EQ(worker.scheduler().cache_use().n_used, 0U);
    EXPECT_GT(worker.scheduler().counters().preemptions, static_cast<std::uint64_t>(n / 1000));
}

}  // namespace
}  // namespace rafter::engine
