// The simulation: times that can be counted by hand, and the scheduler under work that a model would be too slow for.
#include "engine/measure/simulator.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "engine/speculation/ngram_drafter.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

double simulated_price(const model::StepShape& shape) { return 5e-3 + 0.2e-3 * shape.n_tokens(); }

SchedulerOptions simulated(std::uint32_t n_blocks) {
    return {.limits = {.n_tokens = 512, .n_outputs = 64},
            .context = 2048,
            .block_size = 16,
            .n_blocks = {n_blocks},
            .windows = {0},
            .cost = StepCost(simulated_price, 512, 2048)};
}

TEST(Simulator, ASingleRequestTakesTheSumOfItsSteps) {
    SimulatedWorker worker(simulated(200), 1e-3);
    Workload workload({.n_requests = 1, .prompt = 700, .generate = 11, .n_vocab = 1000});
    const auto report = run_workload(workload, worker, {});
    ASSERT_TRUE(report.has_value());
    const double prefill = simulated_price({.sequences = {{512, 0, 0}}}) + simulated_price({.sequences = {{188, 512, 1}}}) + 2e-3;
    const double decode = simulated_price({.sequences = {{1, 700, 1}}}) + 1e-3;
    EXPECT_NEAR(report->ttft_seconds.most(), prefill, 0.05 * prefill);
    EXPECT_NEAR(report->itl_seconds.mean(), decode, 0.01 * decode);
    EXPECT_NEAR(report->seconds, prefill + 10 * decode, 0.05 * report->seconds);
}

// A forced answer that repeats its prompt: the drafter has most of it right, so the answer takes fewer steps, and its tokens are the same.
TEST(Simulator, DraftTokensAreRightWhereTheForcedAnswerSaysSo) {
    Request request;
    for (TokenId i = 0; i < 60; ++i) request.prompt.push_back(10 + i);
    request.max_tokens = 50;
    request.ignore_eos = true;
    request.forced.emplace_back();
    for (TokenId i = 0; i < 50; ++i) request.forced[0].tokens.push_back(i == 25 ? 500 : 12 + i);
    std::vector<std::vector<TokenId>> answers;
    std::vector<int> n_steps;
    for (const bool drafts : {false, true}) {
        NgramDrafter drafter{NgramOptions{}};
        SchedulerOptions options = simulated(200);
        if (drafts) options.speculation.drafter = &drafter;
        SimulatedWorker worker(options, 0.0);
        const auto stream = worker.submit(request).value();
        std::vector<TokenId> answer;
        int n = 0;
        for (bool ended = false; !ended; ++n) {
            ASSERT_TRUE(worker.step());
            const StreamUpdate update = stream->take();
            for (const GeneratedToken& token : update.tokens) answer.push_back(token.id);
            ended = update.finish.has_value();
        }
        answers.push_back(answer);
        n_steps.push_back(n);
    }
    EXPECT_EQ(answers[0], request.forced[0].tokens);
    EXPECT_EQ(answers[1], answers[0]);
    EXPECT_LT(n_steps[1] * 2, n_steps[0]);
}

// The second of two requests that begin alike reads what the first has read: its step says how much.
TEST(Simulator, StepsSayWhatTheirSequencesShare) {
    for (const bool cached : {false, true}) {
        SchedulerOptions options = simulated(500);
        options.prefix_cache = cached;
        SimulatedWorker worker(options, 0.0);
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (TokenId i = 0; i < 3; ++i) {
            Request request;
            for (TokenId t = 0; t < 100; ++t) request.prompt.push_back(t < 70 || i == 2 ? t + (i == 2 ? 7 : 0) : 1000 * (i + 1) + t);
            request.max_tokens = 20;
            request.ignore_eos = true;
            streams.push_back(worker.submit(std::move(request)).value());
        }
        std::uint32_t most = 0;
        while (worker.step()) {
            const model::StepShape& shape = worker.last_step().shape;
            if (shape.sequences.size() < 3) continue;
            std::uint32_t n_shared = 0;
            for (const model::SequenceStep& sequence : shape.sequences) n_shared += sequence.n_shared;
            most = std::max(most, n_shared);
        }
        EXPECT_EQ(most, cached ? 64U : 0U);  // whole blocks of 16 of the 70 tokens, of one sequence
    }
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

TEST(Simulator, UsersOfAClosedLoopKeepLittlesLaw) {
    for (const std::uint32_t users : {1U, 3U, 16U, 100U}) {
        for (const double think : {0.0, 0.4, 10.0}) {
            SchedulerOptions options = simulated(3000);
            options.target_itl_seconds = 0.03;
            SimulatedWorker worker(options, 0.0);
            const std::uint64_t n = users * 100ULL;
            Workload workload({.n_requests = n, .prompt = 200, .generate = 20, .n_users = users, .think_seconds = think, .n_vocab = 1000});
            const auto report = run_workload(workload, worker, {});
            ASSERT_TRUE(report.has_value());
            EXPECT_EQ(report->n_requests, n);
            EXPECT_LE(report->most_in_flight, users);
            if (think == 0.0) {
                EXPECT_EQ(report->most_in_flight, users);
            }
            // Users come and go as often as they take for an answer and for thinking.
            const double throughput = static_cast<double>(n) / report->seconds;
            const double expected = users / (report->request_seconds.mean() + think);
            EXPECT_NEAR(throughput, expected, 0.05 * expected) << users << " users who think " << think;
        }
    }
}

TEST(Simulator, MooncakesHashIdsAreFoundInTheCacheExactly) {
    const std::string path = ::testing::TempDir() + "hashes.jsonl";
    // Far enough apart that each is answered before the next comes.
    std::ofstream(path) << R"({"timestamp": 0, "input_length": 1536, "output_length": 4, "hash_ids": [1, 2, 3]}
{"timestamp": 60000, "input_length": 1500, "output_length": 4, "hash_ids": [1, 2, 9]}
{"timestamp": 120000, "input_length": 1200, "output_length": 4, "hash_ids": [1, 7]}
{"timestamp": 180000, "input_length": 1024, "output_length": 4, "hash_ids": [5, 2]}
{"timestamp": 240000, "input_length": 2000, "output_length": 4, "hash_ids": [1, 2, 3, 8]}
)";
    Workload workload = *Workload::read(path, {.n_vocab = 1U << 16U});
    SchedulerOptions options = simulated(3000);
    options.context = 2048;
    SimulatedWorker worker(options, 0.0);
    const auto report = run_workload(workload, worker, {});
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->n_failed, 0U);
    EXPECT_EQ(report->cache.tokens_asked, 1536U + 1500 + 1200 + 1024 + 2000 - 5);  // the last token of each is always computed
    EXPECT_EQ(report->cache.tokens_found, 0U + 2 * 512 + 512 + 0 + 3 * 512);
    std::remove(path.c_str());
}

TEST(Simulator, TakesAsLongAsItIsTold) {
    SchedulerOptions options = simulated(200);
    SimulatedWorker worker(options, 1e-3, [](const model::StepShape& shape) { return 0.5 + 0.01 * shape.n_tokens(); });
    Workload workload({.n_requests = 1, .prompt = 100, .generate = 3, .n_vocab = 1000});
    const auto report = run_workload(workload, worker, {});
    ASSERT_TRUE(report.has_value());
    EXPECT_NEAR(report->seconds, (0.5 + 1.0) + 2 * (0.5 + 0.01) + 3 * 1e-3, 1e-9);
}

TEST(Simulator, NobodyStarvesBesideAStreamOfOthers) {
    const std::string path = ::testing::TempDir() + "stream.jsonl";
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
