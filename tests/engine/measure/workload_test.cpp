// Workloads are what they say, and the engine answers all of one.
#include "engine/measure/workload.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "tests/engine/engine_rig.h"

namespace rafter::engine {
namespace {

using namespace tests;

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

}  // namespace
}  // namespace rafter::engine
