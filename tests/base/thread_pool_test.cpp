// The thread pool under many runs and barriers, alone and with more threads than CPUs.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/os_cpu.h"

namespace rafter {
namespace {

// What a thread writes lies on a cache line of its own: the tests look for lost wake-ups, not for false sharing.
struct alignas(64) Slot {
    long value = 0;
};

TEST(ThreadPool, HasAsManyThreadsAsCpusByDefault) {
    const ThreadPool pool({});
    EXPECT_EQ(pool.n_threads(), usable_cpus());
}

TEST(ThreadPool, RunsTheWorkOnEveryThreadOnceTheCallerBeingThreadZero) {
    for (const unsigned n : {1U, 2U, 3U, 8U}) {
        ThreadPool pool({.n_threads = n});
        ASSERT_EQ(pool.n_threads(), n);
        std::vector<Slot> calls(n);
        const auto caller = std::this_thread::get_id();
        for (int i = 0; i < 100; ++i) {
            pool.run([&](unsigned thread) {
                ++calls[thread].value;
                EXPECT_EQ(thread == 0, std::this_thread::get_id() == caller);
            });
        }
        for (const Slot& slot : calls) EXPECT_EQ(slot.value, 100);
    }
}

TEST(ThreadPool, AHundredThousandRunsAreSeenByAll) {
    ThreadPool pool({.n_threads = 2});
    std::vector<Slot> sums(2);
    long step = 0;  // plain: a run must publish it to the threads, and their sums to the caller
    for (step = 0; step < 100'000; ++step) {
        pool.run([&](unsigned thread) { sums[thread].value += step; });
        ASSERT_EQ(sums[1].value, sums[0].value);
    }
    EXPECT_EQ(sums[0].value, 100'000L * 99'999 / 2);
}

// Each thread reads its neighbours' plain numbers after every barrier: one passed too early shows as a wrong sum (and as a race under
// ThreadSanitizer).
long pass_barriers(unsigned n_threads, int n_barriers) {
    ThreadPool pool({.n_threads = n_threads});
    std::vector<Slot> numbers(n_threads);
    std::atomic<long> wrong = 0;
    pool.run([&](unsigned thread) {
        for (int i = 1; i <= n_barriers / 2; ++i) {
            numbers[thread].value = i;
            pool.barrier();
            for (const Slot& slot : numbers) wrong += slot.value != i;
            pool.barrier();
        }
    });
    return wrong;
}

TEST(ThreadPool, AHundredThousandBarriersHoldEveryoneBack) { EXPECT_EQ(pass_barriers(2, 100'000), 0); }

TEST(ThreadPool, EightThreadsOnFewCpusAreRightAndDoNotCrawl) {
    const std::int64_t begin_ns = monotonic_ns();
    EXPECT_EQ(pass_barriers(8, 10'000), 0);
    EXPECT_LT(static_cast<double>(monotonic_ns() - begin_ns) * 1e-9, 60.0);  // spinning in turn would take minutes
}

TEST(ThreadPool, SurvivesUnequalWorkAndLongPauses) {
    ThreadPool pool({.n_threads = 3});
    std::vector<Slot> calls(3);
    for (int i = 0; i < 20; ++i) {
        pool.run([&](unsigned thread) {
            // Longer than the spinning: the others are asleep when it arrives.
            if (thread == static_cast<unsigned>(i) % 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            pool.barrier();
            ++calls[thread].value;
        });
        std::this_thread::sleep_for(std::chrono::microseconds(300));  // the team sleeps between runs
    }
    for (const Slot& slot : calls) EXPECT_EQ(slot.value, 20);
}

TEST(ThreadPool, AnIdleTeamBurnsNothing) {
    ThreadPool pool({.n_threads = 2});
    pool.run([](unsigned) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::clock_t begin = std::clock();  // CPU time of all threads of the process
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 0.05);
}

TEST(ThreadPool, EndsWithoutEverHavingRun) {
    for (int i = 0; i < 50; ++i) const ThreadPool pool({.n_threads = 4});
}

TEST(ThreadPool, MayBeUsedFromOneThreadAfterTheOther) {
    ThreadPool pool({.n_threads = 2});
    std::vector<Slot> calls(2);
    for (int i = 0; i < 4; ++i) {
        std::thread([&] { pool.run([&](unsigned thread) { ++calls[thread].value; }); }).join();
    }
    EXPECT_EQ(calls[0].value, 4);
    EXPECT_EQ(calls[1].value, 4);
}

}  // namespace
}  // namespace rafter
