// The gate between many readers and an engine on a model without weights: every sequence gets its text and one finish, whatever happens.
#include "server/admission/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <stdexcept>

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
    GateRig rig(tight());
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
        if (random() % 40 == 0) rig.readers.wait();
    }
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

}  // namespace
}  // namespace rafter::server
