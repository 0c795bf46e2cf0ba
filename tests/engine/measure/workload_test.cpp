// Workloads are what they say, and the engine answers all of one.
#include "engine/measure/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
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
    const std::string path = ::testing::TempDir() + "trace.jsonl";
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

TEST(Workload, ATraceWithKeysThatAreNotKnownNamesEachOnce) {
    const std::string path = ::testing::TempDir() + "unknown.jsonl";
    std::ofstream(path) << "{\"arrival_seconds\": 0, \"prompt_tokens\": 20, \"prio\": 3}\n{\"arrival_seconds\": 1, \"prio\": 2, "
                           "\"sharedtokens\": 1}\n";
    const auto workload = Workload::read(path, {.prompt = 8, .generate = 4, .n_vocab = 100});
    ASSERT_TRUE(workload.has_value());
    ASSERT_EQ(workload->warnings().size(), 2U);
    EXPECT_EQ(workload->warnings()[0].find(path + ", line 1: \"prio\""), 0U) << workload->warnings()[0];
    EXPECT_EQ(workload->warnings()[1].find(path + ", line 2: \"sharedtokens\""), 0U) << workload->warnings()[1];
    EXPECT_NE(workload->warnings()[1].find("did you mean shared_tokens?"), std::string::npos) << workload->warnings()[1];
    std::remove(path.c_str());
}

TEST(Workload, MooncakesTracesSayWhichBlocksOfPromptsAreAlike) {
    const std::string path = ::testing::TempDir() + "mooncake.jsonl";
    const auto read = [&](const std::string& text) {
        std::ofstream(path) << text;
        return Workload::read(path, {.prompt = 8, .generate = 4, .shared_prefix = 3, .n_vocab = 1000});
    };
    auto trace = read(
        "{\"timestamp\": 27000, \"input_length\": 1500, \"output_length\": 52, \"hash_ids\": [46, 47, 48]}\r\n \r\n"
        "{\"timestamp\": 27500, \"input_length\": 1536, \"output_length\": 7, \"hash_ids\": [46, 47, 48]}\n"
        "{\"timestamp\": 27500, \"input_length\": 1100, \"output_length\": 1, \"hash_ids\": [46, 49], \"turn\": 2}\n"
        "{\"timestamp\": 30000, \"input_length\": 600, \"output_length\": 3}\n");
    ASSERT_TRUE(trace.has_value()) << trace.error().message;
    EXPECT_EQ(trace->n_requests(), 4U);
    EXPECT_EQ(trace->longest(), 1552U);
    EXPECT_EQ(trace->warnings().size(), 1U);
    const auto first = trace->next(), second = trace->next(), third = trace->next(), fourth = trace->next();
    EXPECT_EQ(first->seconds, 0.0);
    EXPECT_NEAR(second->seconds, 0.5, 1e-9);
    EXPECT_NEAR(fourth->seconds, 3.0, 1e-9);
    EXPECT_EQ(first->request.max_tokens, 52U);
    const auto alike = [](const Arrival& a, const Arrival& b) {
        const auto& x = a.request.prompt;
        const auto& y = b.request.prompt;
        return std::mismatch(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(std::min(x.size(), y.size())), y.begin()).first - x.begin();
    };
    EXPECT_EQ(first->request.prompt.size(), 1500U);
    EXPECT_EQ(alike(*first, *second), 1500);  // the last block's id too, of a shorter prompt
    EXPECT_EQ(alike(*first, *third), 512);
    EXPECT_EQ(alike(*second, *third), 512);
    EXPECT_EQ(alike(*first, *fourth), 0);
    const std::pair<const char*, const char*> wrong[] = {
        {R"({"timestamp": 0, "input_length": 513, "output_length": 1, "hash_ids": [1, 2, 3]})", "hash_ids: expected at most 2"},
        {R"({"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": 3})", "hash_ids: expected a list"},
        {R"({"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [-1]})", "found -1"},
        {R"({"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": ["a"]})", "found \"a\""},
        {R"({"timestamp": 0, "input_length": 0, "output_length": 1})", "input_length"},
        {R"({"timestamp": 0, "input_length": 5})", "output_length"},
        {R"({"timestamp": -1, "input_length": 5, "output_length": 1})", "timestamp"},
        {R"({"input_length": 5, "output_length": 1})", "timestamp"},
        {"{\"timestamp\": 9000, \"input_length\": 5, \"output_length\": 1}\n{\"timestamp\": 8999, \"input_length\": 5, "
         "\"output_length\": 1}",
         "line 2: timestamp: expected at least 9000, as the line before, found 8999"},
    };
    for (const auto& [text, said] : wrong) {
        const auto read_wrong = read(text);
        ASSERT_FALSE(read_wrong.has_value()) << text;
        EXPECT_NE(read_wrong.error().message.find(said), std::string::npos) << read_wrong.error().message;
        EXPECT_NE(read_wrong.error().message.find(path), std::string::npos) << read_wrong.error().message;
    }
    std::remove(path.c_str());
}

TEST(Workload, TheEngineAnswersUsersOneRequestAtATime) {
    RigOptions setup;
    setup.n_blocks = 400;
    Rig rig(setup);
    EngineWorker worker(rig.engine);
    Workload workload({.n_requests = 40, .prompt = 24, .generate = 5, .n_users = 3, .think_seconds = 1e-4, .seed = 3, .n_vocab = 26});
    const auto report = run_workload(workload, worker, {});
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->n_requests, 40U);
    EXPECT_EQ(report->generated_tokens, 200U);
    EXPECT_LE(report->most_in_flight, 3U);
    EXPECT_GE(report->seconds, 13 * 1e-4);  // a user's thinking
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
