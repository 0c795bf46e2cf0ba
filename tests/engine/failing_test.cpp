// What fails for one request and what fails the engine, where the step throws in a chosen place; and how updates leave the engine.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <stdexcept>
#include <thread>

#include "tests/engine/engine_rig.h"
#include "tests/engine/failing_allocations.h"
#include "tests/engine/made_up_price.h"
#include "tests/engine/thread_rig.h"

namespace rafter::engine {
namespace {

using namespace tests;

// The scheduler asks the clock in schedule(), and again in commit().
struct ThrowingClock {
    int n_good = 1'000'000;
    double operator()() {
        if (n_good-- == 0) throw std::runtime_error("the clock is broken");
        return 0.0;
    }
};

void expect_failed(Rig& rig, const std::vector<std::shared_ptr<TokenStream>>& streams, const std::string& why) {
    EXPECT_FALSE(rig.engine.step());
    ASSERT_TRUE(rig.engine.failure().has_value());
    EXPECT_EQ(rig.engine.failure()->message, why);
    for (const auto& stream : streams) {
        const StreamUpdate update = stream->take();
        ASSERT_TRUE(update.finish.has_value());
        EXPECT_EQ(update.finish->reason, FinishReason::kError);
        EXPECT_EQ(update.finish->error->message, why);
        EXPECT_TRUE(update.tokens.empty());
        EXPECT_EQ(update.text, "");
    }
    const auto refused = rig.engine.submit(request_of("abc"));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, why);
    EXPECT_EQ(refused.error().kind, rig.engine.failure()->kind);
    EXPECT_EQ(refused.error().kind, ErrorKind::kInternal);
    EXPECT_EQ(rig.engine.n_waiting(), 0U);
    EXPECT_FALSE(rig.engine.step());
}

TEST(FailingEngine, ThrowingOutOfScheduleAndCommitEndsEveryStream) {
    for (const int n_good : {0, 1}) {
        auto clock = std::make_shared<ThrowingClock>();
        RigOptions setup;
        setup.limits.n_outputs = 2;  // the third waits
        setup.clock = [clock] { return (*clock)(); };
        Rig rig(setup);
        std::vector<std::shared_ptr<TokenStream>> streams;
        for (const char* prompt : {"abc", "bcd", "cde"}) streams.push_back(rig.submit(request_of(prompt)));
        ASSERT_TRUE(rig.engine.step());
        for (const auto& stream : streams) (void)stream->take();
        clock->n_good = n_good;
        expect_failed(rig, streams, "the engine has failed: the clock is broken");
    }
}

TEST(FailingEngine, ThrowingWhileRequestsAreTakenInEndsEveryStream) {
    Rig rig;
    const auto running = rig.submit(request_of("abc", 50));
    ASSERT_TRUE(rig.engine.step());
    (void)running->take();
    std::vector<std::shared_ptr<TokenStream>> streams{running};
    for (int i = 0; i < 20; ++i) {
        Request request = request_of("abc");
        request.timeout_seconds = 1e6;  // its deadline is an allocation
        streams.push_back(rig.submit(std::move(request)));
    }
    AllocationFault fault(5);
    {
        const AllocationFault::Armed armed(fault);
        EXPECT_FALSE(rig.engine.step());
    }
    ASSERT_TRUE(fault.fired());
    EXPECT_EQ(rig.model.steps.size(), 1U);
    expect_failed(rig, streams, "the engine has failed: std::bad_alloc");
}

TEST(FailingEngine, ASinkThatThrowsFailsItAndEveryStreamHasOneFinish) {
    FakeTokenizer tokenizer;
    FakeModel model({0}, 64, 4);
    std::map<TokenStream*, int> n_finishes;
    int n_calls = 0;
    const Sink sink = [&](std::span<Delivery> updates) {
        for (Delivery& delivery : updates) {
            if (++n_calls == 5) throw std::runtime_error("nobody listens");
            n_finishes[delivery.stream.get()] += delivery.update.finish.has_value() ? 1 : 0;
            delivery.update.clear();
        }
    };
    Engine engine(model, tokenizer, scheduler_options({.windows = {0}}), sink);
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const char* prompt : {"a", "b", "c"}) streams.push_back(*engine.submit(request_of(prompt, 2)));
    while (engine.step()) {}
    EXPECT_EQ(engine.failure()->message, "the engine has failed: nobody listens");
    for (const auto& stream : streams) EXPECT_EQ(n_finishes[stream.get()], 1);
}

TEST(FailingEngine, DestroyingItEndsWhatIsUnderWayAsCancelled) {
    auto rig = std::make_unique<Rig>();
    const auto running = rig->submit(request_of("abc", 50));
    (void)rig->engine.step();
    const auto waiting = rig->submit(request_of("abc", 50));
    rig.reset();
    EXPECT_EQ(running->take().finish->reason, FinishReason::kCancelled);
    EXPECT_EQ(waiting->take().finish->reason, FinishReason::kCancelled);
    waiting->cancel();
}

TEST(FailingEngine, ARequestSubmittedWhileItIsDestroyedHasItsFinish) {
    Rig rig;
    auto owner = std::make_unique<Engine>(rig.model, rig.tokenizer, scheduler_options({}));
    Engine& engine = *owner;
    std::shared_ptr<TokenStream> second;
    int n_refused = 0;
    const auto count_refused = [&](StreamUpdate&& /*last*/) { n_refused += engine.submit(request_of("z")).has_value() ? 0 : 1; };
    const auto ask_again = [&](StreamUpdate&& update) {
        if (update.finish) second = *engine.submit(request_of("xyz", 50), count_refused);
    };
    ASSERT_TRUE(engine.submit(request_of("abc", 50), ask_again).has_value());
    (void)engine.step();
    owner.reset();
    ASSERT_NE(second, nullptr);
    const StreamUpdate update = second->take();
    ASSERT_TRUE(update.finish.has_value());
    EXPECT_EQ(update.finish->reason, FinishReason::kCancelled);
    EXPECT_EQ(n_refused, 1);
}

TEST(FailingEngine, ItFailsOnceAndItsMessageStays) {
    Rig rig;
    const auto stream = rig.submit(request_of("abc"));
    rig.engine.fail("first");
    rig.engine.fail("second");
    expect_failed(rig, {stream}, "the engine has failed: first");
}

TEST(FailingEngine, ACancelledRequestThatEndedWithAllIsForgotten) {
    Rig rig;
    for (int i = 0; i < 20; ++i) {
        const auto ended = rig.submit(request_of("abc", 5));
        ended->cancel();
        rig.engine.end_all({.reason = FinishReason::kCancelled});
        // Likely where the one that ended was in memory.
        const auto next = rig.submit(request_of("abc", 5));
        while (rig.engine.step()) {}
        EXPECT_EQ(next->take().finish->reason, FinishReason::kLength);
    }
}

TEST(Delivery, ASinkHasAllUpdatesOfAStepInOneCall) {
    FakeTokenizer tokenizer;
    FakeModel model({0}, 64, 4);
    std::vector<std::size_t> n_updates;
    Engine engine(model, tokenizer, scheduler_options({.windows = {0}}), [&](std::span<Delivery> updates) {
        n_updates.push_back(updates.size());
        deliver_to_streams(updates);
    });
    std::vector<std::shared_ptr<TokenStream>> streams;
    for (const char* prompt : {"a", "b", "c"}) streams.push_back(*engine.submit(request_of(prompt, 3)));
    while (engine.step()) {}
    EXPECT_EQ(n_updates, (std::vector<std::size_t>{3, 3, 3}));
    for (const auto& stream : streams) EXPECT_EQ(stream->take().tokens.size(), 3U);
}

TEST(Delivery, ACallbackHasEveryUpdateOnTheEnginesThreadAndMaySubmitAndCancel) {
    RigOptions endless;
    endless.context = 100'000;
    endless.n_blocks = 30'000;
    const ThreadRig rig(endless);
    std::atomic<int> n_finished = 0;
    StreamUpdate first, second;
    std::thread::id first_thread, second_thread;
    const auto other = rig.submit(request_of("xyz", 90'000));
    auto stream = rig.thread->submit(request_of("abc", 5), [&](StreamUpdate&& update) {
        first_thread = std::this_thread::get_id();
        const bool finished = update.finish.has_value();
        append(first, std::move(update));
        if (!finished) return;
        other->cancel();
        EXPECT_TRUE(rig.thread
                        ->submit(request_of("bcd", 4),
                                 [&](StreamUpdate&& more) {
                                     second_thread = std::this_thread::get_id();
                                     append(second, std::move(more));
                                     if (second.finish) ++n_finished;
                                 })
                        .has_value());
        ++n_finished;
    });
    ASSERT_TRUE(stream.has_value());
    while (n_finished < 2) std::this_thread::yield();
    EXPECT_EQ(reason_of(*other), FinishReason::kCancelled);
    rig.thread->stop(StopMode::kDrain);
    EXPECT_EQ(ids(first), slow_answer(rig.model, request_of("abc").prompt, 5));
    EXPECT_EQ(ids(second), slow_answer(rig.model, request_of("bcd").prompt, 4));
    EXPECT_EQ(first_thread, second_thread);
    EXPECT_NE(first_thread, std::this_thread::get_id());
    EXPECT_EQ((*stream)->wait().finish->reason, FinishReason::kLength);  // the stream knows that it is over
}

TEST(Delivery, ACallbackThatThrowsEndsItsRequestAlone) {
    Rig rig;
    std::vector<FinishReason> finishes;
    const auto bad = *rig.engine.submit(request_of("abc", 20), [&](StreamUpdate&& update) {
        if (update.finish) finishes.push_back(update.finish->reason);
        throw std::runtime_error("no reader");
    });
    const auto good = rig.submit(request_of("abc", 5));
    while (rig.engine.step()) {}
    EXPECT_EQ(finishes, std::vector<FinishReason>{FinishReason::kError});
    EXPECT_EQ(bad->take().finish->error->message, "no reader");
    EXPECT_EQ(ids(good->take()), slow_answer(rig.model, request_of("abc").prompt, 5));
    EXPECT_LE(rig.model.steps.size(), 5U);
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(WaitingRequests, TakeUnder2000BytesBesideTheirTokensAndBlockHashes) {
    constexpr std::size_t kRequests = 10'000;
    constexpr std::size_t kPrompt = 100;
    RigOptions setup;
    setup.limits.n_outputs = 1;
    setup.context = 100'000;
    setup.n_blocks = 30'000;
    Rig rig(setup);
    const auto running = rig.submit(request_of("z", 90'000));
    ASSERT_TRUE(rig.engine.step());
    Request request = request_of(std::string(kPrompt, 'a'), 10);
    request.timeout_seconds = 1e6;
    request.end_tokens = {FakeTokenizer::kEnd};
    std::vector<std::shared_ptr<TokenStream>> streams;
    streams.reserve(kRequests);
    const std::int64_t before = bytes_allocated_here();
    for (std::size_t i = 0; i < kRequests; ++i) streams.push_back(rig.submit(request));
    ASSERT_TRUE(rig.engine.step());
    const std::size_t own_bytes = kPrompt * sizeof(TokenId) + kPrompt / setup.block_size * sizeof(std::uint64_t);  // tokens, block hashes
    const std::int64_t bytes = bytes_allocated_here() - before - static_cast<std::int64_t>(kRequests * own_bytes);
    EXPECT_EQ(rig.engine.n_waiting(), kRequests);
    EXPECT_LT(bytes, 20'000'000);
    EXPECT_GT(bytes, 1'000'000) << "memory is measured at all";
    RecordProperty("bytes_a_request", static_cast<int>(bytes / static_cast<std::int64_t>(kRequests)));

    // No step looks at one, but for those that are cancelled or out of time.
    const std::uint64_t n_looked_at = rig.engine.scheduler().counters().waiting_looked_at;
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(rig.engine.step());
    EXPECT_EQ(rig.engine.scheduler().counters().waiting_looked_at, n_looked_at);
    for (std::size_t i = 0; i < 7; ++i) streams[i * 1000]->cancel();
    ASSERT_TRUE(rig.engine.step());
    EXPECT_EQ(rig.engine.scheduler().counters().waiting_looked_at, n_looked_at + 7);
    EXPECT_EQ(rig.engine.n_waiting(), kRequests - 7);
    for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(streams[i * 1000]->take().finish->reason, FinishReason::kCancelled);
}

TEST(WaitingRequests, AreCancelledBeforeAndAfterTheEngineSeesThem) {
    RigOptions setup;
    setup.limits.n_outputs = 1;
    Rig rig(setup);
    const auto running = rig.submit(request_of("z", 20));
    ASSERT_TRUE(rig.engine.step());
    const auto early = rig.submit(request_of("a", 5));
    early->cancel();
    early->cancel();
    ASSERT_TRUE(rig.engine.step());
    EXPECT_EQ(early->take().finish->reason, FinishReason::kCancelled);
    const auto late = rig.submit(request_of("a", 5));
    ASSERT_TRUE(rig.engine.step());
    late->cancel();
    ASSERT_TRUE(rig.engine.step());
    EXPECT_EQ(late->take().finish->reason, FinishReason::kCancelled);
    running->cancel();
    while (rig.engine.step()) {}
    EXPECT_EQ(running->take().finish->reason, FinishReason::kCancelled);
    EXPECT_EQ(rig.n_used(), 0U);
}

TEST(QueuedWork, IsWhatTheStepsThenTake) {
    double now = 0.0;
    RigOptions setup;
    setup.n_blocks = 4000;
    setup.context = 600;
    setup.limits = {.n_tokens = 256, .n_outputs = 4};
    setup.cost = StepCost(made_up_price, 256, 600);
    setup.clock = [&now] { return now; };
    Rig rig(setup);
    EXPECT_EQ(rig.engine.scheduler().queued_seconds(), 0.0);
    for (int i = 0; i < 16; ++i) (void)rig.submit(request_of(std::string(200, static_cast<char>('a' + i)), 40));
    (void)rig.engine.step();
    const double predicted = rig.engine.scheduler().queued_seconds() / rig.engine.scheduler().cost().correction();
    rig.model.steps.clear();
    while (rig.engine.step()) {}
    double taken = 0.0;
    for (const model::StepShape& step : rig.model.steps) taken += made_up_price(step);
    EXPECT_NEAR(predicted, taken, 0.25 * taken);
    EXPECT_EQ(rig.engine.scheduler().queued_seconds(), 0.0);
    EXPECT_EQ(Rig().engine.scheduler().queued_seconds(), 0.0);
}

}  // namespace
}  // namespace rafter::engine
