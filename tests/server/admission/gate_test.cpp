// The gate between many readers and an engine on a model without weights: every sequence gets its text and one finish, whatever happens.
#include "server/admission/gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/engine/made_up_price.h"
#include "tests/server/admission/gate_rig.h"
#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

using namespace tests;
using engine::tests::Asked;
using engine::tests::expect_equal;
using engine::tests::ids;
using engine::tests::is_prefix;
using engine::tests::random_questions;
using engine::tests::request_of;
using engine::tests::tight;

Arrival arrival_of(std::vector<engine::Request> sequences, std::string key = "") {
    return {.key = std::move(key), .priority = 0, .sequences = std::move(sequences), .max_ttft_seconds = {}, .on_update = {}};
}

TEST(Gate, GivesEachReaderWhatTheEngineGivesAlone) {
    const auto asked = random_questions(1, rafter::tests::rounds(300));
    GateRig rig(tight());
    for (std::size_t i = 0; i < asked.size();) {
        std::vector<engine::Request> sequences;
        const std::size_t first = i;
        for (std::size_t n = 1 + i % 3; n > 0 && i < asked.size(); --n) sequences.push_back(asked[i++].request);
        Ticket ticket;
        const auto refusal = rig.submit(arrival_of(std::move(sequences)), ticket, first);
        ASSERT_FALSE(refusal.has_value()) << refusal->message;
        EXPECT_GT(ticket.id, 0U);
        if (i % 30 == 0) rig.readers.wait();
    }
    rig.readers.wait();
    for (const auto& [first, answers] : rig.readers.answers()) {
        for (std::size_t k = 0; k < answers.size(); ++k) expect_equal(answers[k], asked[first + k].alone);
    }
    rig.close();
    engine::tests::expect_empty(rig.engine);
}

TEST(Gate, EverySequenceGetsOneFinishWhateverIsCancelled) {
    const auto asked = random_questions(2, rafter::tests::rounds(2000));
    // Between every second pair of waits the engine stands still, so that what is cancelled then has not ended yet.
    std::mutex steps;
    GateRig rig(tight(), [&] { const std::lock_guard lock(steps); });
    std::unique_lock<std::mutex> still(steps);
    bool was_still = true;
    std::mt19937 random(3);
    std::vector<std::uint64_t> tickets;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        Ticket ticket;
        ASSERT_FALSE(rig.submit(arrival_of({asked[i].request}, std::to_string(random() % 3)), ticket, i).has_value());
        tickets.push_back(ticket.id);
        if (random() % 3 == 0) {
            const std::uint64_t id = tickets[tickets.size() - 1 - random() % std::min<std::size_t>(tickets.size(), 20)];
            rig.server.call([&] { rig.gate->cancel(id); });
        }
        if (random() % 40 != 0) continue;
        if (still) still.unlock();
        rig.readers.wait();
        if (!was_still) still.lock();
        was_still = !was_still;
    }
    if (still) still.unlock();
    rig.readers.wait();
    std::size_t n_cancelled = 0;
    for (const auto& [i, answers] : rig.readers.answers()) {
        ASSERT_EQ(answers.size(), 1U);
        if (answers[0].finish->reason == engine::FinishReason::kCancelled) {
            ++n_cancelled;
            EXPECT_TRUE(is_prefix(ids(answers[0]), ids(asked[i].alone)));
        } else {
            expect_equal(answers[0], asked[i].alone);
        }
    }
    EXPECT_GT(n_cancelled, asked.size() / 20);
    rig.close();
    engine::tests::expect_empty(rig.engine);
}

TEST(Gate, TheUpdatesOfAStepComeInOnePost) {
    std::atomic<std::uint64_t> n_steps = 0;
    GateRig rig({}, [&] { ++n_steps; });
    const std::uint64_t n_before = rig.server.n_posted();
    Ticket ticket;
    ASSERT_FALSE(rig.submit(arrival_of(std::vector(4, request_of("abc", 30))), ticket, 0).has_value());
    rig.readers.wait();
    EXPECT_LE(rig.server.n_posted() - n_before, n_steps + 1);  // and one is the submission
}

TEST(Gate, ARequestThatCanNeverRunIsRefusedWithTheEnginesWords) {
    GateRig rig;
    Ticket ticket;
    auto refusal = rig.submit(arrival_of({request_of("a"), request_of("")}), ticket, 0);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, RefusalKind::kBadInput);
    EXPECT_EQ(refusal->message, "the prompt is empty: expected at least one token");
    refusal = rig.submit(arrival_of({}), ticket, 0);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, RefusalKind::kBadInput);
    rig.server.call([&] { rig.gate->stop_taking(); });
    refusal = rig.submit(arrival_of({request_of("a")}), ticket, 0);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, RefusalKind::kStopping);
}

TEST(Gate, AReaderThatThrowsEndsItsArrivalAlone) {
    // The engine stops at its fifth step until the cancellation has gone out.
    std::atomic<int> n_steps = 0;
    std::promise<void> cancelled;
    GateRig rig({}, [&] {
        if (++n_steps == 5) cancelled.get_future().wait();
    });
    std::promise<engine::FinishReason> ended;
    std::size_t n = 0;
    Ticket ticket;
    rig.server.call([&] {
        Arrival arrival = arrival_of({request_of("abc", 100)});
        arrival.on_update = [&](std::size_t, engine::StreamUpdate&& update) {
            if (n++ == 0) rig.server.post([&] { cancelled.set_value(); });
            if (update.finish) ended.set_value(update.finish->reason);
            throw std::runtime_error("a reader's");
        };
        ASSERT_FALSE(rig.gate->submit(std::move(arrival), ticket).has_value());
    });
    Ticket other;
    ASSERT_FALSE(rig.submit(arrival_of({request_of("abd", 50)}), other, 0).has_value());
    EXPECT_EQ(ended.get_future().get(), engine::FinishReason::kCancelled);
    rig.readers.wait();
    EXPECT_EQ(rig.readers.answers()[0][0].finish->reason, engine::FinishReason::kLength);
}

TEST(Gate, AnEngineThatFailsEndsEverySequenceAndRefusesOthers) {
    std::atomic<int> n_left = 5;
    GateRig rig({}, [&] {
        if (--n_left == 0) throw std::runtime_error("no more");
    });
    Ticket ticket;
    for (std::size_t i = 0; i < 20; ++i) {
        const auto refusal = rig.submit(arrival_of({request_of("abc", 100)}), ticket, i);
        if (refusal) {
            EXPECT_EQ(refusal->kind, RefusalKind::kFailed);
            EXPECT_NE(refusal->message.find("no more"), std::string::npos);
        }
    }
    rig.readers.wait();
    for (const auto& [i, answers] : rig.readers.answers()) {
        EXPECT_EQ(answers[0].finish->reason, engine::FinishReason::kError);
        EXPECT_NE(answers[0].finish->error->message.find("no more"), std::string::npos);
    }
    const auto refusal = rig.submit(arrival_of({request_of("abc")}), ticket, 100);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, RefusalKind::kFailed);
}

TEST(Gate, MayGoWithSequencesUnderWay) {
    for (int round = 0; round < 20; ++round) {
        GateRig rig;
        Ticket ticket;
        for (std::size_t i = 0; i < 20; ++i) ASSERT_FALSE(rig.submit(arrival_of({request_of("abc", 100)}), ticket, i).has_value());
        if (round % 2 == 0) rig.engine.thread->stop(engine::StopMode::kCancel);
        rig.close();
    }
}

// Steps wait until it opens.
class Door {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return open_; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

// Opens it at the end, so that a test that fails ends.
struct Opener {
    Door& door;
    ~Opener() { door.open(); }
};

engine::tests::RigOptions priced() {
    engine::tests::RigOptions setup;
    setup.limits = {.n_tokens = 32, .n_outputs = 4};
    setup.cost = engine::StepCost(engine::tests::made_up_price, 32, 128);
    return setup;
}

TEST(Gate, WhatWaitsIsCountedPredictedAndBounded) {
    Door door;
    GateRig rig(priced(), [&] { door.pass(); }, {.max_queue = 10});
    const Opener opener{door};
    Ticket ticket;
    double before = 0.0;
    std::size_t n_taken = 0;
    std::optional<Refusal> refusal;
    for (; !refusal && n_taken < 100; ++n_taken) {
        refusal = rig.submit(arrival_of({request_of("abcdefgh", 40)}), ticket, n_taken);
        if (refusal) break;
        ASSERT_TRUE(ticket.prediction.first_token_seconds && ticket.prediction.last_token_seconds);
        EXPECT_GE(*ticket.prediction.first_token_seconds, before - 1e-3);
        EXPECT_GT(*ticket.prediction.last_token_seconds, *ticket.prediction.first_token_seconds);
        EXPECT_EQ(ticket.prediction.bound.empty(), false);
        before = *ticket.prediction.first_token_seconds;
    }
    // Four run or are about to, two wait in the engine, ten here.
    EXPECT_EQ(n_taken, 16U);
    EXPECT_EQ(ticket.prediction.bound, "queue");
    EXPECT_GT(before, 0.1);  // three rounds of 39 steps of a millisecond before it
    EXPECT_EQ(refusal->kind, RefusalKind::kBusy);
    EXPECT_EQ(refusal->message, "busy: 10 sequences wait already, and the limit is 10");
    ASSERT_TRUE(refusal->retry_after_seconds.has_value());
    EXPECT_GT(*refusal->retry_after_seconds, 0.0);
    GateLoad load;
    rig.server.call([&] { load = rig.gate->load(); });
    EXPECT_EQ(load.n_queued, 10U);
    EXPECT_GT(load.queued_seconds, 0.0);
    EXPECT_GT(load.first_token_seconds, before);
    EXPECT_EQ(load.n_blocks, 64U);
    door.open();
    rig.readers.wait();
    rig.server.call([&] { load = rig.gate->load(); });
    EXPECT_EQ(load.n_queued, 0U);
    EXPECT_EQ(load.queued_seconds, 0.0);
    EXPECT_LT(load.first_token_seconds, 0.05);
    for (const auto& [i, answers] : rig.readers.answers()) EXPECT_EQ(answers[0].finish->reason, engine::FinishReason::kLength);
}

TEST(Gate, RefusesWhatWouldWaitTooLongAndSaysWhenToComeAgain) {
    Door door;
    GateRig rig(priced(), [&] { door.pass(); }, {.max_queue_seconds = 0.1});
    const Opener opener{door};
    Ticket ticket;
    std::optional<Refusal> refusal;
    std::size_t n = 0;
    for (; !refusal && n < 100; ++n) refusal = rig.submit(arrival_of({request_of("abcdefgh", 40)}), ticket, n);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->kind, RefusalKind::kBusy);
    EXPECT_NE(refusal->message.find("the server's limit is 0.100 s"), std::string::npos) << refusal->message;
    ASSERT_TRUE(refusal->retry_after_seconds.has_value());
    EXPECT_GT(*refusal->retry_after_seconds, 0.0);
    Arrival hurried = arrival_of({request_of("abcdefgh", 40)});
    hurried.max_ttft_seconds = 1e-3;
    refusal = rig.submit(std::move(hurried), ticket, 1000);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_NE(refusal->message.find("max_ttft_seconds is 0.001 s"), std::string::npos) << refusal->message;
    door.open();
    rig.readers.wait();
    EXPECT_FALSE(rig.submit(arrival_of({request_of("abcdefgh", 40)}), ticket, 2000).has_value());
    rig.readers.wait();
}

TEST(Gate, AKeyThatFloodsItDoesNotKeepOthersWaiting) {
    Door door;
    GateRig rig(priced(), [&] { door.pass(); });
    const Opener opener{door};
    Ticket ticket;
    for (std::size_t i = 0; i < 200; ++i)
        ASSERT_FALSE(rig.submit(arrival_of({request_of("abcdefgh", 10)}, "flood"), ticket, i).has_value());
    for (std::size_t i = 200; i < 204; ++i)
        ASSERT_FALSE(rig.submit(arrival_of({request_of("hgfedcba", 10)}, "other"), ticket, i).has_value());
    door.open();
    rig.readers.wait();
    std::size_t last = 0;
    for (std::size_t i = 0; i < rig.readers.order().size(); ++i) {
        if (rig.readers.order()[i].first >= 200) last = i;
    }
    // Among the first few dozen: what had been handed over, and as much of the flood as of the others, a quantum more.
    EXPECT_LT(last, 60U);
}

TEST(Gate, PrioritiesGoFirstWithinAKey) {
    Door door;
    GateRig rig(priced(), [&] { door.pass(); });
    const Opener opener{door};
    Ticket ticket;
    for (std::size_t i = 0; i < 40; ++i) {
        Arrival arrival = arrival_of({request_of("abcdefgh", 10)});
        arrival.priority = i == 39 ? 5 : 0;
        ASSERT_FALSE(rig.submit(std::move(arrival), ticket, i).has_value());
    }
    EXPECT_LT(*ticket.prediction.first_token_seconds, 0.05);
    door.open();
    rig.readers.wait();
    const auto& order = rig.readers.order();
    const auto at = std::ranges::find(order, std::pair<std::size_t, std::size_t>{39, 0}) - order.begin();
    EXPECT_LT(at, 12);
}

TEST(Gate, WhatWaitsHereEndsAtItsDeadline) {
    Door door;
    GateRig rig(priced(), [&] { door.pass(); });
    const Opener opener{door};
    Ticket ticket;
    for (std::size_t i = 0; i < 12; ++i) {
        engine::Request request = request_of("abcdefgh", 100);
        if (i >= 10) request.timeout_seconds = 1e-3;
        ASSERT_FALSE(rig.submit(arrival_of({std::move(request)}), ticket, i).has_value());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    door.open();
    rig.readers.wait();
    for (const auto& [i, answers] : rig.readers.answers()) {
        EXPECT_EQ(answers[0].finish->reason, i >= 10 ? engine::FinishReason::kTimeout : engine::FinishReason::kLength);
        if (i >= 10) {
            EXPECT_GE(answers[0].finish->times.queue_seconds, 1e-3);
        }
    }
}

TEST(Gate, TheCachedBeginningOfAPromptIsExpected) {
    GateRig rig(priced());
    Ticket ticket;
    const std::string shared(40, 'c');
    ASSERT_FALSE(rig.submit(arrival_of({request_of(shared + "ab", 4)}), ticket, 0).has_value());
    EXPECT_EQ(ticket.prediction.n_cached_tokens, 0U);
    ASSERT_FALSE(rig.submit(arrival_of({request_of(shared + "ba", 4)}), ticket, 1).has_value());
    EXPECT_EQ(ticket.prediction.n_cached_tokens, 40U);
    engine::Request salted = request_of(shared + "ba", 4);
    salted.cache_salt = "another's";
    ASSERT_FALSE(rig.submit(arrival_of({std::move(salted)}), ticket, 2).has_value());
    EXPECT_EQ(ticket.prediction.n_cached_tokens, 0U);
    rig.readers.wait();
    // A conversation goes on: its answer is in the cache too, but for the last token.
    engine::Request first = request_of("abcdefghijk", 10);
    ASSERT_FALSE(rig.submit(arrival_of({first}), ticket, 3).has_value());
    rig.readers.wait();
    engine::Request next = first;
    for (const engine::GeneratedToken& token : rig.readers.answers()[3][0].tokens) next.prompt.push_back(token.id);
    next.prompt.insert(next.prompt.end(), 5, 2);
    ASSERT_FALSE(rig.submit(arrival_of({next}), ticket, 4).has_value());
    EXPECT_EQ(ticket.prediction.n_cached_tokens, 20U);
    rig.readers.wait();
    EXPECT_EQ(rig.readers.answers()[4][0].finish->times.n_reused, 20U);
}

// Two sequences more than slots are in the engine, so that a slot never waits for the server's thread.
TEST(Gate, AFreeSlotIsTakenInTheNextStep) {
    std::atomic<std::size_t> n_short_steps = 0;
    GateRig* under_test = nullptr;
    std::atomic<bool> counts = false;
    GateRig rig(priced(), [&] {
        if (!counts) return;
        // Of the step before: it had work for four.
        const auto& steps = under_test->engine.model.steps;
        if (!steps.empty() && steps.back().sequences.size() < 4) ++n_short_steps;
        std::this_thread::sleep_for(std::chrono::microseconds(500));  // as a model would, the server's thread has its time
    });
    under_test = &rig;
    Ticket ticket;
    for (std::size_t i = 0; i < 200; ++i) {
        // All four end in the same step, again and again.
        ASSERT_FALSE(rig.submit(arrival_of({request_of("abcdefgh", 10)}), ticket, i).has_value());
        if (i == 20) counts = true;
    }
    rig.readers.wait();
    const std::size_t n_steps = rig.engine.model.steps.size();
    // On a busy machine the server's thread may be late now and then.
    EXPECT_LT(n_short_steps, n_steps / 5) << n_steps;
}

}  // namespace
}  // namespace rafter::server
