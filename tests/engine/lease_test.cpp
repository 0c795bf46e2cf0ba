// Turns are counted, never timed: a turn ends only when the test knows who waits for the next one.
#include "engine/lease.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/engine/engine_rig.h"
#include "tests/engine/thread_rig.h"
#include "tests/engine/tiny_engine.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

void wait_for_waiting(const ComputeLease& lease, std::uint64_t n) {
    while (lease.counters().n_waiting < n) std::this_thread::yield();
}

TEST(ComputeLease, TurnsGoToThoseWhoAskInTheirOrder) {
    ComputeLease lease;
    std::vector<int> order;
    std::vector<std::thread> threads;
    {
        const ComputeLease::Turn first = lease.take();
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&, i] {
                const ComputeLease::Turn turn = lease.take();
                order.push_back(i);  // the turn is the lock
            });
            wait_for_waiting(lease, static_cast<std::uint64_t>(i) + 1);
        }
        EXPECT_TRUE(order.empty());
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(lease.counters().n_turns, 7U);
    EXPECT_EQ(lease.counters().n_waited, 6U);
    EXPECT_EQ(lease.counters().n_waiting, 0U);
}

TEST(ComputeLease, WhoeverIsAloneNeverWaits) {
    ComputeLease lease;
    for (int i = 0; i < 100; ++i) {
        ComputeLease::Turn turn = lease.take();
        turn.let_others();
        const ComputeLease::Turn moved = std::move(turn);
    }
    EXPECT_EQ(lease.counters().n_turns, 100U);
    EXPECT_EQ(lease.counters().n_waited, 0U);
}

TEST(ComputeLease, LetsOthersGoFirstAndGoesOn) {
    ComputeLease lease;
    std::vector<int> order;
    std::vector<std::thread> threads;
    {
        ComputeLease::Turn turn = lease.take();
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                const ComputeLease::Turn own = lease.take();
                order.push_back(i);
            });
            wait_for_waiting(lease, static_cast<std::uint64_t>(i) + 1);
        }
        turn.let_others();
        order.push_back(9);
        turn.let_others();
        order.push_back(10);
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 9, 10}));
}

// Engines of several models at one lease, each with a request that keeps it busy. A step ends only when all others wait for their turn, or
// have ended.
struct Engines {
    explicit Engines(int n) : n_busy(n) {
        for (int i = 0; i < n; ++i) {
            rigs.push_back(std::make_unique<ThreadRig>(
                RigOptions{},
                [this, i] {
                    order.push_back(i);
                    while (lease.counters().n_waiting < static_cast<std::uint64_t>(n_busy - 1)) std::this_thread::yield();
                },
                EngineThreadOptions{.lease = &lease}));
        }
    }

    ComputeLease lease{[] { return 0.0; }, ComputeLease::kPatience};  // steps of equal length
    std::atomic<int> n_busy;
    std::vector<int> order;  // whose step; the turn is its lock
    std::vector<std::unique_ptr<ThreadRig>> rigs;
};

TEST(ComputeLease, StepsOfBusyEnginesAlternate) {
    for (const int n : {2, 3}) {
        Engines engines(n);
        std::vector<std::shared_ptr<TokenStream>> streams;
        {
            const ComputeLease::Turn before = engines.lease.take();  // until all have asked
            for (const auto& rig : engines.rigs) streams.push_back(rig->submit(request_of("abc", 40)));
            wait_for_waiting(engines.lease, static_cast<std::uint64_t>(n));
        }
        // An engine whose answer has ended asks no more.
        std::vector<std::thread> readers;
        for (const auto& stream : streams) {
            readers.emplace_back([&] {
                const StreamUpdate answer = read(*stream);
                --engines.n_busy;
                EXPECT_EQ(ids(answer), ids(Rig().run(request_of("abc", 40))));
            });
        }
        for (std::thread& reader : readers) reader.join();
        ASSERT_EQ(engines.order.size(), 40U * static_cast<unsigned>(n));
        for (std::size_t i = static_cast<std::size_t>(n); i < engines.order.size(); ++i) {
            ASSERT_EQ(engines.order[i], engines.order[i - static_cast<std::size_t>(n)]) << "step " << i;
        }
    }
}

// Threads that do nothing but take turns of so many seconds of a clock that only turns move, until `end`. A turn ends only when all others
// wait for theirs, as if steps took longer than what is between them. What each has used by then.
std::vector<double> shares(const std::vector<double>& turn_seconds, double end, const std::vector<double>& start) {
    double clock = 0.0;  // the turn is its lock
    std::atomic<double> shown = 0.0;
    ComputeLease lease([&] { return shown.load(); }, std::chrono::seconds(100), 1e9);
    std::atomic<std::uint64_t> n_busy = 0, n_begun = 0;
    const auto n_due = [&] { return static_cast<std::uint64_t>(std::ranges::count_if(start, [&](double s) { return s <= clock; })); };
    std::vector<double> used(turn_seconds.size(), 0.0);
    std::vector<std::thread> threads;
    {
        const ComputeLease::Turn before = lease.take();  // until all have asked that begin at once
        std::uint64_t n_begin = 0;
        for (std::size_t i = 0; i < turn_seconds.size(); ++i) {
            n_begin += start[i] <= 0.0;
            threads.emplace_back([&, i] {
                ComputeLease::Account account(&lease);
                while (shown < start[i]) std::this_thread::yield();
                ++n_busy;
                ++n_begun;
                for (bool ends = false; !ends;) {
                    const ComputeLease::Turn turn = lease.take(&account);
                    ends = clock >= end;
                    if (!ends) used[i] += turn_seconds[i];
                    if (ends) --n_busy;
                    while (!ends && (n_begun < n_due() || lease.counters().n_waiting + 1 < n_busy)) std::this_thread::yield();
                    clock += ends ? 1e9 : turn_seconds[i];  // a last turn so long that nobody waits for another
                    shown = clock;
                }
            });
        }
        wait_for_waiting(lease, n_begin);
    }
    for (std::thread& thread : threads) thread.join();
    return used;
}

TEST(ComputeLease, AccountsGetEqualSecondsWhateverTheirTurnsCost) {
    const auto two = shares({1.0, 10.0}, 2000.0, {0.0, 0.0});
    EXPECT_NEAR(two[0] / two[1], 1.0, 0.05);
    const auto three = shares({1.0, 7.0, 30.0}, 3000.0, {0.0, 0.0, 0.0});
    for (const double used : three) EXPECT_NEAR(used, 1000.0, 60.0);
}

TEST(ComputeLease, SecondsWithoutRequestsAreNotSavedUp) {
    const auto used = shares({1.0, 10.0}, 4000.0, {2000.0, 0.0});
    EXPECT_NEAR(used[0], 1000.0, 60.0);  // half of what was left when it came
}

// An account that has fallen behind and does not come back: the others go on without it.
TEST(ComputeLease, WhoeverStaysAwayIsNotWaitedForTwice) {
    ComputeLease lease([n = 0.0]() mutable { return n += 1.0; }, std::chrono::milliseconds(1));
    ComputeLease::Account away(&lease), busy(&lease);
    { const ComputeLease::Turn turn = lease.take(&busy); }
    for (int i = 0; i < 50; ++i) {
        const ComputeLease::Turn turn = lease.take(&busy);
    }
    std::thread other;
    {
        const ComputeLease::Turn turn = lease.take(&away);
        other = std::thread([&] {
            for (int i = 0; i < 3; ++i) const ComputeLease::Turn own = lease.take(&busy);
        });
        wait_for_waiting(lease, 1);
    }
    other.join();  // it ends
    EXPECT_EQ(lease.counters().n_waiting, 0U);
}

TEST(ComputeLease, AnIdleEngineTakesNoTurns) {
    Engines engines(2);
    engines.n_busy = 1;
    (void)read(*engines.rigs[0]->submit(request_of("abc", 30)));
    engines.rigs[0]->thread->stop(StopMode::kDrain);
    EXPECT_EQ(engines.lease.counters().n_turns, 30U);
    EXPECT_EQ(engines.lease.counters().n_waited, 0U);
    EXPECT_EQ(engines.order, std::vector<int>(30, 0));
}

TEST(ComputeLease, AStepThatThrowsEndsItsTurn) {
    ComputeLease lease;
    const ThreadRig failing({}, [] { throw std::runtime_error("the device is gone"); }, {.lease = &lease});
    const ThreadRig sound({}, {}, {.lease = &lease});
    EXPECT_EQ(reason_of(*failing.submit(request_of("abc", 5))), FinishReason::kError);
    EXPECT_EQ(ids(read(*sound.submit(request_of("abc", 5)))), ids(Rig().run(request_of("abc", 5))));
}

TEST(ComputeLease, ManyRequestsOfThreeEnginesGetWhatTheyGetAlone) {
    ComputeLease lease;
    const auto asked = random_questions(11, rafter::tests::rounds(60));
    std::vector<std::unique_ptr<ThreadRig>> rigs;
    for (int i = 0; i < 3; ++i)
        rigs.push_back(std::make_unique<ThreadRig>(tight(), std::function<void()>(), EngineThreadOptions{.lease = &lease}));
    std::vector<std::thread> threads;
    for (const auto& rig : rigs) {
        threads.emplace_back([&] {
            std::vector<std::shared_ptr<TokenStream>> streams;
            for (const Asked& one : asked) {
                if (auto stream = rig->thread->submit(one.request)) streams.push_back(*stream);
            }
            EXPECT_EQ(streams.size(), asked.size());
            for (std::size_t i = 0; i < streams.size(); ++i) expect_equal(read(*streams[i]), asked[i].alone);
        });
    }
    for (std::thread& thread : threads) thread.join();
    std::uint64_t n_steps = 0;
    for (const auto& rig : rigs) {
        rig->thread->stop(StopMode::kDrain);
        n_steps += rig->thread->snapshot().n_steps;
    }
    EXPECT_GE(lease.counters().n_turns, n_steps);
}

std::vector<Request> tiny_questions(std::uint32_t seed, std::size_t n) {
    std::mt19937 random(seed);
    std::vector<Request> requests(n);
    for (Request& request : requests) {
        request.prompt.resize(1 + random() % 30);
        for (TokenId& token : request.prompt) token = static_cast<TokenId>(random() % 200);
        request.max_tokens = 1 + random() % 20;
        if (random() % 2) request.sampling = {.temperature = 0.9, .seed = random()};
    }
    return requests;
}

TEST(ComputeLease, TwoModelsOfOneRuntimeAnswerAsAloneWhileAThirdIsLoaded) {
    const auto requests = tiny_questions(3, 24);
    const std::vector<TinyEngineOptions> models = {{.model = "llama"}, {.model = "qwen3", .seed = 5}, {.model = "gpt-oss"}};
    std::vector<std::vector<StreamUpdate>> alone;
    for (const TinyEngineOptions& options : models) {
        Runtime own = Runtime::create({.n_threads = 2}).value();
        alone.push_back(TinyEngine(own, options).run(requests));
    }

    Runtime shared = Runtime::create({.n_threads = 2}).value();
    std::vector<std::unique_ptr<TinyEngine>> tiny;
    std::vector<std::unique_ptr<EngineThread>> threads;
    std::vector<std::vector<std::shared_ptr<TokenStream>>> streams(models.size());
    std::size_t n_parts = 0;
    for (std::size_t i = 0; i < models.size(); ++i) {
        TinyEngineOptions options = models[i];
        {
            ComputeLease::Turn turn = shared.lease().take();
            options.let_others = [&] {
                ++n_parts;
                turn.let_others();
            };
            tiny.push_back(std::make_unique<TinyEngine>(shared, options));
        }
        threads.push_back(EngineThread::start(std::move(tiny[i]->engine), {.lease = &shared.lease()}).value());
        for (const Request& request : requests) streams[i].push_back(threads[i]->submit(request).value());
    }
    for (std::size_t i = 0; i < models.size(); ++i) {
        for (std::size_t j = 0; j < requests.size(); ++j) expect_equal(read(*streams[i][j]), alone[i][j]);
    }
    EXPECT_GT(n_parts, 20U);  // of three models
    threads.clear();
}

}  // namespace
}  // namespace rafter::engine
