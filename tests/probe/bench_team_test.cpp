// Rounds of samples: each benchmark in turn, the first round dropped, an end in time whatever happens.
#include "probe/bench_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

namespace rafter::probe {
namespace {

TEST(Rounds, TakeTheirTurnsAndDropTheFirst) {
    std::string order;
    std::vector<double> recorded;
    double next = 100.0;
    std::vector<Benchmark> benchmarks;
    for (const char name : {'a', 'b'}) {
        benchmarks.push_back({.sample = [&order, &next, name] { return order += name, next -= 1.0; },
                              .record = [&recorded](const Spread& spread) { recorded.push_back(spread.least); }});
    }
    run_interleaved(benchmarks, {.least = 2, .most = 3, .duration_ns = 60'000'000'000, .progress = {}});
    EXPECT_EQ(order, "abababab");
    EXPECT_EQ(recorded, (std::vector<double>{93.0, 92.0}));
    EXPECT_EQ(benchmarks[0].samples, (std::vector<double>{97.0, 95.0, 93.0}));
}

TEST(Rounds, ReturnTheTypicalSpread) {
    int n = 0;
    std::vector<Benchmark> benchmarks = {{.sample = [&n] { return ++n % 2 == 0 ? 1.0 : 3.0; }, .record = [](const Spread&) {}}};
    EXPECT_DOUBLE_EQ(run_interleaved(benchmarks, {.least = 1, .most = 4, .duration_ns = 60'000'000'000, .progress = {}}),
                     1.0);  // (3 - 1) / 2
}

TEST(Rounds, EndInTimeWithOneSampleOfEachAndSayThatItWasNotEnough) {
    const auto slow = [] {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        return 1.0;
    };
    std::vector<Benchmark> benchmarks(5, {.sample = slow, .record = [](const Spread&) {}});
    EXPECT_GE(run_interleaved(benchmarks, {.least = 3, .most = 100, .duration_ns = 1'000'000, .progress = {}}), 1.0);
    for (const Benchmark& benchmark : benchmarks) EXPECT_EQ(benchmark.samples.size(), 1U);
}

TEST(TimeTeam, RunsTheWorkOnTheChosenThreadsAsOftenAsSaid) {
    ThreadPool pool({.n_threads = 3, .pin = false});
    for (const unsigned n_threads : {1U, 2U, 3U}) {
        std::atomic<unsigned> calls = 0;
        const double seconds = time_team(pool, [&](unsigned thread) { calls += thread < n_threads ? 1 : 1000; },
                                         {.n_threads = n_threads, .repeats = 4, .warm = true});
        EXPECT_EQ(calls, n_threads * 5);
        EXPECT_GT(seconds, 0.0);
    }
}

}  // namespace
}  // namespace rafter::probe
