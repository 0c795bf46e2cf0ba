// The engine's thread among many others: what an engine stepped by hand gives is the oracle, and every stream must end.
#include "engine/engine_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/engine/engine_rig.h"
#include "tests/engine/thread_rig.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

using namespace tests;

// Steps wait before it until it opens.
class Gate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++n_arrived_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void wait_for_arrival() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return n_arrived_ > 0; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int n_arrived_ = 0;
    bool open_ = false;
};

// Letters, one of which cannot be written.
class BrokenTokenizer : public FakeTokenizer {
  public:
    static constexpr TokenId kBroken = 7;
    [[nodiscard]] std::string_view piece(TokenId id, text::SpecialTokens special) const override {
        if (id == kBroken) throw std::bad_alloc();
        return FakeTokenizer::piece(id, special);
    }
};

void run_threads(int n, const std::function<void(int thread)>& work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < n; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
}

TEST(EngineThread, TellsOfEachStep) {
    std::uint64_t n_steps = 0, n_tokens = 0, n_chosen = 0;  // written on the engine's thread, read when it has ended
    ThreadRig rig(RigOptions{}, EngineThreadOptions{.on_step = [&](const StepReport& step) {
                      EXPECT_EQ(step.shape.sequences.empty(), step.kind == StepKind::kNone);
                      n_steps += step.shape.sequences.empty() ? 0 : 1;
                      n_tokens += step.shape.n_tokens();
                      n_chosen += step.n_chosen;
                  }});
    std::uint64_t n_generated = 0;
    for (const Asked& asked : random_questions(7, 20)) n_generated += read(*rig.submit(asked.request)).finish->times.n_generated;
    rig.thread->stop(StopMode::kDrain);
    const EngineSnapshot end = rig.thread->snapshot();
    EXPECT_GT(n_steps, 0U);
    EXPECT_EQ(n_steps, end.n_steps);
    EXPECT_EQ(n_tokens, end.n_tokens);
    EXPECT_EQ(n_chosen, n_generated);
}

TEST(EngineThread, GivesManyThreadsWhatAnEngineSteppedByHandGives) {
    constexpr int kThreads = 6;
    const auto asked = random_questions(1, kThreads * rafter::tests::rounds(60));
    const ThreadRig rig(tight());
    std::vector<StreamUpdate> found(asked.size());
    run_threads(kThreads, [&](int thread) {
        std::mt19937 random(static_cast<std::uint32_t>(thread));
        std::map<std::size_t, std::shared_ptr<TokenStream>> open;
        for (auto i = static_cast<std::size_t>(thread); i < asked.size(); i += kThreads) {
            open[i] = rig.submit(asked[i].request);
            if (random() % 3 != 0) continue;
            for (const auto& [index, stream] : open) found[index] = read(*stream);
            open.clear();
        }
        for (const auto& [index, stream] : open) found[index] = read(*stream);
    });
    for (std::size_t i = 0; i < asked.size(); ++i) expect_equal(found[i], asked[i].alone);
    rig.thread->stop(StopMode::kDrain);
    expect_empty(rig);
    const EngineSnapshot end = rig.thread->snapshot();
    EXPECT_EQ(end.n_submitted, asked.size());
    EXPECT_EQ(end.n_busy, 0U);
    EXPECT_EQ(end.n_steps, rig.model.steps.size());
    std::uint64_t n_tokens = 0;
    for (const model::StepShape& step : rig.model.steps) n_tokens += step.n_tokens();
    EXPECT_EQ(end.n_tokens, n_tokens);
}

TEST(EngineThread, ACancelledAnswerIsABeginningOfTheWholeOne) {
    constexpr int kThreads = 4;
    const auto asked = random_questions(2, kThreads * rafter::tests::rounds(100));
    const ThreadRig rig(tight());
    std::atomic<int> n_cancelled = 0;
    run_threads(kThreads, [&](int thread) {
        std::mt19937 random(static_cast<std::uint32_t>(thread));
        std::vector<std::pair<std::size_t, std::shared_ptr<TokenStream>>> open;
        for (auto i = static_cast<std::size_t>(thread); i < asked.size(); i += kThreads) {
            open.emplace_back(i, rig.submit(asked[i].request));
            if (random() % 2 == 0) open[random() % open.size()].second->cancel();
            if (open.size() < 5) continue;
            for (const auto& [index, stream] : open) {
                StreamUpdate all;
                const std::size_t patience = random() % 25;
                while (!all.finish) {
                    append(all, stream->wait());
                    if (all.tokens.size() >= patience) stream->cancel();
                }
                if (all.finish->reason == FinishReason::kCancelled) {
                    ++n_cancelled;
                    EXPECT_TRUE(is_prefix(ids(all), ids(asked[index].alone)));
                } else {
                    expect_equal(all, asked[index].alone);
                }
            }
            open.clear();
        }
        for (const auto& [index, stream] : open) stream->cancel();
        for (const auto& [index, stream] : open) (void)read(*stream);
    });
    rig.thread->stop(StopMode::kDrain);
    EXPECT_GT(n_cancelled, 0);
    expect_empty(rig);
}

TEST(EngineThread, EndsWaitingAndRunningRequestsAtTheirDeadlines) {
    std::atomic<double> now = 0.0;
    Gate gate;
    RigOptions setup;
    setup.limits.n_outputs = 1;
    setup.clock = [&] { return now.load(); };
    const ThreadRig rig(setup, [&] {
        gate.pass();
        now = now + 1.0;  // that a step takes
    });
    const auto with_timeout = [&](double seconds) {
        Request request = request_of("abc", 100);
        request.timeout_seconds = seconds;
        return rig.submit(request);
    };
    const auto running = with_timeout(5.0);
    gate.wait_for_arrival();
    // These arrive within the first step, and wait for the first request's place.
    const auto waiting = with_timeout(3.0);
    const auto at_once = with_timeout(0.0);
    const auto patient = rig.submit(request_of("xyz", 4));
    gate.open();
    const StreamUpdate first = read(*running);
    EXPECT_EQ(first.finish->reason, FinishReason::kTimeout);
    EXPECT_EQ(ids(first), slow_answer(rig.model, request_of("abc").prompt, 5));
    for (const auto& stream : {waiting, at_once}) {
        const StreamUpdate update = read(*stream);
        EXPECT_EQ(update.finish->reason, FinishReason::kTimeout);
        EXPECT_TRUE(update.tokens.empty());
    }
    EXPECT_EQ(waiting->take().finish->times.queue_seconds, 3.0);
    EXPECT_EQ(at_once->take().finish->times.queue_seconds, 1.0);  // the rest of the first step
    EXPECT_EQ(ids(read(*patient)), slow_answer(rig.model, request_of("xyz").prompt, 4));
}

TEST(EngineThread, RefusesAsBusyWhatIsBeyondTheLimitAndTakesItLater) {
    Gate gate;
    const ThreadRig rig({}, [&] { gate.pass(); }, {.max_waiting = 3});
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (int i = 0; i < 3; ++i) streams.push_back(rig.submit(request_of("ab", 5)));  // no step is over yet: all wait
    const auto busy = rig.thread->submit(request_of("ef", 5));
    ASSERT_FALSE(busy.has_value());
    EXPECT_EQ(busy.error().kind, ErrorKind::kBusy);
    EXPECT_EQ(busy.error().message, "busy: 3 requests are already waiting");
    EXPECT_EQ(rig.thread->snapshot().n_waiting, 3U);
    EXPECT_EQ(rig.thread->snapshot().n_busy, 1U);
    gate.open();
    for (const auto& stream : streams) EXPECT_EQ(reason_of(*stream), FinishReason::kLength);
    const auto later = rig.thread->submit(request_of("ef", 5));
    ASSERT_TRUE(later.has_value());
    EXPECT_EQ(ids(read(**later)), slow_answer(rig.model, request_of("ef").prompt, 5));
    // Bad input is something else, and takes no place.
    const auto bad = rig.thread->submit(request_of(""));
    ASSERT_FALSE(bad.has_value());
    EXPECT_EQ(bad.error().kind, ErrorKind::kBadInput);
    EXPECT_EQ(rig.thread->snapshot().n_submitted, 4U);
}

TEST(EngineThread, DrainingEndsEverythingAsIfNothingStopped) {
    const auto asked = random_questions(3, 40);
    for (int round = 0; round < rafter::tests::rounds(20); ++round) {
        const ThreadRig rig(tight());
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const Asked& one : asked) streams.push_back(rig.submit(one.request));
        rig.thread->stop(StopMode::kDrain);
        const auto refused = rig.thread->submit(asked[0].request);
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().kind, ErrorKind::kCancelled);
        for (std::size_t i = 0; i < asked.size(); ++i) expect_equal(streams[i]->take(), asked[i].alone);
        expect_empty(rig);
        rig.thread->stop(StopMode::kCancel);  // again, with nothing to do
    }
}

TEST(EngineThread, StoppingWhileManySubmitEndsEveryStreamThatWasGiven) {
    const auto asked = random_questions(4, 30);
    for (int round = 0; round < rafter::tests::rounds(40); ++round) {
        const ThreadRig rig(tight());
        std::atomic<int> n_given = 0;
        std::atomic<int> n_ended = 0;
        std::thread stopper([&] {
            while (n_given < round * 5) std::this_thread::yield();
            if (round % 3 == 0) rig.thread->stop(StopMode::kDrain);
            rig.thread->stop(StopMode::kCancel);
        });
        run_threads(4, [&](int thread) {
            std::vector<std::pair<std::size_t, std::shared_ptr<TokenStream>>> open;
            for (auto i = static_cast<std::size_t>(thread);; ++i) {
                const auto stream = rig.thread->submit(asked[i % asked.size()].request);
                if (!stream) {
                    EXPECT_EQ(stream.error().kind, ErrorKind::kCancelled);
                    break;
                }
                ++n_given;
                open.emplace_back(i % asked.size(), *stream);
                if (i % 20 == 0) (void)read(**stream);
            }
            for (const auto& [index, stream] : open) {
                StreamUpdate all = read(*stream);
                n_ended += all.finish.has_value();
                if (all.finish->reason == FinishReason::kCancelled) {
                    EXPECT_TRUE(is_prefix(ids(all), ids(asked[index].alone)));
                }
            }
        });
        stopper.join();
        EXPECT_EQ(n_given, n_ended);
        EXPECT_EQ(rig.thread->snapshot().n_submitted, static_cast<std::uint64_t>(n_given));
        expect_empty(rig);
    }
}

// Answers that nobody lives to see the end of.
RigOptions endless() {
    RigOptions setup;
    setup.context = 100'000;
    setup.n_blocks = 30'000;
    return setup;
}

TEST(EngineThread, DestructionWakesReadersWithACancelledAnswer) {
    for (int round = 0; round < 5; ++round) {
        auto rig = std::make_unique<ThreadRig>(endless());
        std::atomic<int> n_cancelled = 0;
        std::vector<std::thread> readers;
        for (int i = 0; i < 8; ++i) {
            readers.emplace_back([&n_cancelled, stream = rig->submit(request_of("abc", 90'000))] {
                n_cancelled += reason_of(*stream) == FinishReason::kCancelled;
            });
        }
        rig.reset();
        for (std::thread& reader : readers) reader.join();
        EXPECT_EQ(n_cancelled, 8);
    }
}

TEST(EngineThread, ACancelHurriesADrain) {
    const ThreadRig rig(endless());
    const auto stream = rig.submit(request_of("abc", 90'000));
    (void)stream->wait();
    std::thread drain([&] { rig.thread->stop(StopMode::kDrain); });
    rig.thread->stop(StopMode::kCancel);
    drain.join();
    EXPECT_EQ(stream->take().finish->reason, FinishReason::kCancelled);
}

TEST(EngineThread, TakesNoStepWhileThereIsNothingToDo) {
    std::atomic<int> n_looks = 0;  // at the clock, as each step does
    RigOptions setup;
    setup.clock = [&] { return static_cast<double>(++n_looks); };
    const ThreadRig rig(setup);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(n_looks, 0);
    (void)read(*rig.submit(request_of("ab", 5)));
    while (rig.thread->snapshot().n_running > 0) std::this_thread::yield();
    const int n_before = n_looks;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(n_looks, n_before);
}

TEST(EngineThread, WhatOneRequestBreaksEndsItAlone) {
    const BrokenTokenizer broken;
    ThreadRig rig;
    rig.start({}, {}, broken);
    Request throws = request_of("ab", 10);
    throws.sampling.logit_bias = {{BrokenTokenizer::kBroken, 1000.0F}};
    Request plain = request_of("ab", 10);
    plain.sampling.logit_bias = {{BrokenTokenizer::kBroken, -1000.0F}};
    const StreamUpdate alone = Rig().run(plain);
    std::vector<std::shared_ptr<TokenStream>> failing;
    std::vector<std::shared_ptr<TokenStream>> good;
    for (int i = 0; i < 20; ++i) {
        failing.push_back(rig.submit(throws));
        good.push_back(rig.submit(plain));
    }
    for (const auto& stream : good) expect_equal(read(*stream), alone);
    for (const auto& stream : failing) {
        const StreamUpdate update = read(*stream);
        ASSERT_EQ(update.finish->reason, FinishReason::kError);
        EXPECT_EQ(update.finish->error->kind, ErrorKind::kOutOfMemory);
    }
    rig.thread->stop(StopMode::kDrain);
    expect_empty(rig);
}

TEST(EngineThread, AStepThatThrowsEndsEveryStreamWithItsError) {
    std::atomic<int> n_steps = 0;
    const ThreadRig rig({}, [&] {
        if (++n_steps == 4) throw std::runtime_error("the device is gone");
    });
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (int i = 0; i < 12; ++i) {
        if (auto stream = rig.thread->submit(request_of("abc", 50))) streams.push_back(*stream);
    }
    ASSERT_FALSE(streams.empty());
    for (const auto& stream : streams) {
        const StreamUpdate update = read(*stream);
        ASSERT_EQ(update.finish->reason, FinishReason::kError);
        EXPECT_EQ(update.finish->error->message, "the engine has failed: the device is gone");
        EXPECT_TRUE(is_prefix(ids(update), slow_answer(rig.model, request_of("abc").prompt, 50)));
    }
    const auto refused = rig.thread->submit(request_of("abc", 50));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, "the engine has failed: the device is gone");
    rig.thread->stop(StopMode::kDrain);
}

TEST(EngineThread, SnapshotsAreOfOneMoment) {
    const auto asked = random_questions(5, rafter::tests::rounds(100));
    const ThreadRig rig(tight());
    std::atomic<bool> done = false;
    std::thread watcher([&] {
        EngineSnapshot last;
        while (!done) {
            const EngineSnapshot now = rig.thread->snapshot();
            EXPECT_GE(now.n_steps, last.n_steps);
            EXPECT_GE(now.n_tokens, last.n_tokens + (now.n_steps - last.n_steps));
            EXPECT_GE(now.scheduler.preemptions, last.scheduler.preemptions);
            EXPECT_LE(now.n_running, tight().limits.n_outputs);
            EXPECT_LE(now.cache.n_used + now.cache.n_kept, now.cache.n_blocks);
            EXPECT_EQ(now.last_step.shape.n_tokens() > 0, now.n_steps > 0);
            last = now;
        }
    });
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const Asked& one : asked) streams.push_back(rig.submit(one.request));
    for (const auto& stream : streams) (void)read(*stream);
    done = true;
    watcher.join();
}

TEST(TokenStream, TheFinishIsThereForEveryReader) {
    TokenStream stream;
    std::vector<std::thread> readers;
    std::atomic<int> n_finished = 0;
    for (int i = 0; i < 4; ++i) readers.emplace_back([&] { n_finished += read(stream).finish.has_value(); });
    stream.publish({.text = "a"});
    stream.publish({.text = "b", .finish = Finish{.reason = FinishReason::kStop}});
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(n_finished, 4);
    EXPECT_EQ(stream.wait().finish->reason, FinishReason::kStop);
    EXPECT_EQ(stream.take().text, "");
}

TEST(TokenStream, WaitsNoLongerThanItIsTold) {
    TokenStream stream;
    for (const double seconds : {0.0, -1e300, 0.01, std::numeric_limits<double>::quiet_NaN()}) {
        EXPECT_FALSE(stream.wait_for(seconds).finish.has_value());
    }
    std::thread writer([&] { stream.publish({.text = "a"}); });
    EXPECT_EQ(stream.wait_for(std::numeric_limits<double>::infinity()).text, "a");
    writer.join();
}

}  // namespace
}  // namespace rafter::engine
