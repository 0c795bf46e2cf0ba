// When models come into memory and leave it, and what that is to those who ask: every order of events is the test's own.
#include "server/models/models.h"

#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <new>
#include <random>
#include <stdexcept>

#include "tests/server/models/models_rig.h"
#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

using tests::AskingRequest;

constexpr double kForEver = std::numeric_limits<double>::infinity();

// A load stops here until the test lets it go on.
class Barrier {
  public:
    std::function<Result<void>()> stop() {
        return [this]() -> Result<void> {
            arrived_.set_value();
            open_.get_future().wait();
            return {};
        };
    }
    void wait_until_reached() { arrived_.get_future().wait(); }
    void open() { open_.set_value(); }

  private:
    std::promise<void> arrived_, open_;
};

class Loading : public tests::ModelsRig {
  protected:
    // After the request that begins a load: what its plan posts is done, and then it is under way.
    void reach(Barrier& barrier) {
        ASSERT_TRUE(host_.run_one());
        barrier.wait_until_reached();
    }
};

TEST_F(Loading, IsForTheFirstRequestAndServesAllThatWait) {
    start({"a", "b"});
    EXPECT_EQ(state("a"), ModelState::kUnloaded);
    EXPECT_EQ(fake("a").n_plans, 0);
    AskingRequest& first = ask("a");
    AskingRequest& second = ask("a");
    EXPECT_EQ(state("a"), ModelState::kLoading);
    EXPECT_EQ(entry("a").n_waiting(), 2U);
    EXPECT_EQ(first.n_served, 0);
    host_.run_until([&] { return first.is_over(); });
    EXPECT_EQ(first.n_served + second.n_served, 2);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    EXPECT_EQ(entry("a").planned_bytes(), 100U);
    EXPECT_EQ(entry("a").n_calls(), 2U);
    AskingRequest& third = ask("a");
    EXPECT_EQ(third.n_served, 1);  // at once
    EXPECT_EQ(fake("a").n_loads, 1);
    EXPECT_EQ(fake("b").n_plans, 0);
    EXPECT_EQ(models_->latest(), &entry("a"));
}

TEST_F(Loading, IsOfOneModelAtATimeInTheOrderOfTheRequests) {
    start({"a", "b", "c"});
    Barrier barrier;
    fake("a").on_load = barrier.stop();
    AskingRequest& a = ask("a");
    reach(barrier);
    AskingRequest& c = ask("c");
    AskingRequest& b = ask("b");
    EXPECT_EQ(fake("b").n_plans + fake("c").n_plans, 0);
    barrier.open();
    host_.run_until([&] { return c.is_over(); });
    EXPECT_EQ(a.n_served, 1);
    EXPECT_EQ(b.n_served, 0);
    host_.run_until([&] { return b.is_over(); });
    EXPECT_EQ(b.n_served, 1);
}

TEST_F(Loading, ThatFailsFailsItsOwnRequestsOnlyAndIsTriedAgain) {
    start({"bad", "good"});
    fake("bad").on_load = []() -> Result<void> { return Error{"the file is torn", ErrorKind::kBadInput}; };
    AskingRequest& one = ask("bad");
    AskingRequest& two = ask("bad");
    AskingRequest& good = ask("good");
    host_.run_until([&] { return good.is_over(); });
    for (const AskingRequest* bad : {&one, &two}) {
        EXPECT_EQ(bad->n_served, 0);
        EXPECT_EQ(bad->exchange->status, 500);
        EXPECT_NE(bad->exchange->body.find("the file is torn"), std::string::npos);
    }
    EXPECT_EQ(good.n_served, 1);
    EXPECT_EQ(state("bad"), ModelState::kUnloaded);
    EXPECT_EQ(entry("bad").last_error(), "the file is torn");
    fake("bad").on_load = {};
    ask_and_wait("bad");
    EXPECT_EQ(fake("bad").n_plans, 2);
    EXPECT_EQ(entry("bad").last_error(), "");
}

TEST_F(Loading, MayThrowOrHaveNoMemory) {
    start({"a"});
    const std::vector<std::pair<std::function<Result<void>()>, int>> failures = {
        {[]() -> Result<void> { throw std::bad_alloc(); }, 503},
        {[]() -> Result<void> { throw std::runtime_error("by a library"); }, 500},
        {[]() -> Result<void> {
             return Error{"too large", ErrorKind::kOutOfMemory};
         },
         503}};
    for (const bool in_plan : {true, false}) {
        for (const auto& [failure, status] : failures) {
            (in_plan ? fake("a").on_plan : fake("a").on_load) = failure;
            AskingRequest& asked = ask("a");
            host_.run_until([&] { return asked.is_over(); });
            EXPECT_EQ(asked.exchange->status, status);
        }
        fake("a").on_plan = fake("a").on_load = {};
    }
    ask_and_wait("a");
}

TEST_F(Loading, MakesRoomByUnloadingTheLeastRecentlyUsed) {
    start({"a", "b", "c"}, {.memory_bytes = 250});
    use_once("a");
    use_once("b");
    use_once("a");
    use_once("c");
    EXPECT_EQ(state("b"), ModelState::kUnloaded);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    use_once("b");
    EXPECT_EQ(state("a"), ModelState::kUnloaded);
    EXPECT_EQ(state("c"), ModelState::kLoaded);
}

TEST_F(Loading, UnloadsAsManyAsItsPlanNeedsAndNoMore) {
    start({"a", "b", "c", "large"}, {.memory_bytes = 320});
    fake("large").planned_bytes = 200;
    for (const char* name : {"a", "b", "c", "large"}) use_once(name);
    EXPECT_EQ(state("a"), ModelState::kUnloaded);
    EXPECT_EQ(state("b"), ModelState::kUnloaded);
    EXPECT_EQ(state("c"), ModelState::kLoaded);
}

TEST_F(Loading, OfWhatCanNeverFitUnloadsNothing) {
    start({"a", "giant"}, {.memory_bytes = 150});
    fake("giant").planned_bytes = 151;
    use_once("a");
    AskingRequest& giant = ask("giant");
    host_.run_until([&] { return giant.is_over(); });
    EXPECT_EQ(giant.exchange->status, 503);
    EXPECT_NE(giant.exchange->body.find("--models-memory allows"), std::string::npos);
    EXPECT_EQ(fake("giant").n_loads, 0);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
}

TEST_F(Loading, LooksAtTheMachinesMemoryWhereNoLimitIsGiven) {
    start({"a", "b", "c"});
    use_once("a");
    use_once("b");
    host_.available_bytes = 50;  // and unloading gives nothing back: then it is tried all the same
    use_once("c");
    EXPECT_EQ(state("a"), ModelState::kUnloaded);
    EXPECT_EQ(state("b"), ModelState::kUnloaded);
    EXPECT_EQ(state("c"), ModelState::kLoaded);
    host_.available_bytes = 0;  // not known
    use_once("a");
    EXPECT_EQ(state("c"), ModelState::kLoaded);
}

TEST_F(Loading, WaitsForABusyModelToCompleteItsCalls) {
    start({"a", "b"}, {.memory_bytes = 100});
    AskingRequest& busy = ask_and_wait("a");
    AskingRequest& b = ask("b");
    wait_for_state("a", ModelState::kUnloading);
    EXPECT_EQ(fake("a").n_live, 1);
    AskingRequest& late = ask("a");  // waits until it has come back
    EXPECT_EQ(late.n_served, 0);
    busy.call.reset();
    host_.run_until([&] { return b.is_over(); });
    EXPECT_EQ(b.n_served, 1);
    EXPECT_EQ(fake("a").n_live, 0);
    EXPECT_EQ(late.n_served, 0);
    b.call.reset();
    host_.run_until([&] { return late.is_over(); });
    EXPECT_EQ(late.n_served, 1);
    EXPECT_EQ(fake("a").n_loads, 2);
    EXPECT_EQ(state("b"), ModelState::kUnloaded);
}

TEST_F(Loading, IsGivenUpWhenNobodyWaitsAnyMore) {
    start({"a", "b", "c"}, {.memory_bytes = 100});
    Barrier barrier;
    fake("a").on_load = barrier.stop();
    AskingRequest& a = ask("a");
    reach(barrier);
    AskingRequest& queued = ask("b");
    AskingRequest& stays = ask("c");
    AskingRequest& goes = ask("c");
    queued.exchange->leave();
    goes.exchange->leave();
    EXPECT_EQ(state("b"), ModelState::kUnloaded);
    EXPECT_EQ(entry("b").n_waiting(), 0U);
    EXPECT_EQ(entry("c").n_waiting(), 1U);
    barrier.open();
    host_.run_until([&] { return a.is_over(); });
    // The other's turn: it waits for a's call. When its last client goes, nothing is unloaded any more for it that is not going already.
    wait_for_state("a", ModelState::kUnloading);
    stays.exchange->leave();
    a.call.reset();
    wait_for_state("a", ModelState::kUnloaded);
    EXPECT_EQ(state("c"), ModelState::kUnloaded);
    EXPECT_EQ(fake("b").n_plans, 0);
    EXPECT_EQ(fake("c").n_loads, 0);
    EXPECT_EQ(stays.n_served + goes.n_served + queued.n_served, 0);
    EXPECT_EQ(ask_and_wait("c").n_served, 1);
}

TEST_F(Loading, GoesOnForAModelWhoseClientsLeaveInTheMiddleOfIt) {
    start({"a"});
    Barrier barrier;
    fake("a").on_load = barrier.stop();
    AskingRequest& gone = ask("a");
    reach(barrier);
    gone.exchange->leave();
    barrier.open();
    wait_for_state("a", ModelState::kLoaded);
    EXPECT_EQ(gone.n_served, 0);
    EXPECT_EQ(entry("a").n_calls(), 0U);
    EXPECT_EQ(ask("a").n_served, 1);
    // A client that had left before it asked.
    AskingRequest early;
    early.exchange->leave();
    models_->keep(entry("a"), 0.0);
    asked_.clear();
    wait_for_state("a", ModelState::kUnloaded);
    early.call = std::make_shared<Call>(early.exchange, "id", std::vector<Header>(), Call::Ended());
    models_->use(entry("a"), early.call, [&](Services&) { ++early.n_served; });
    EXPECT_EQ(entry("a").n_waiting(), 0U);
}

TEST_F(Loading, HasOneLimitOfWaitingRequestsForAllModelsAndAShareForEachKey) {
    start({"a", "b", "c"}, {.max_queue = 4});
    Barrier barrier;
    fake("a").on_load = barrier.stop();
    for (int i = 0; i < 2; ++i) ask("a", "greedy");
    reach(barrier);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(ask("b", "greedy").exchange->status, 0);
    AskingRequest& refused = ask("c", "greedy");
    EXPECT_EQ(refused.exchange->status, 429);
    EXPECT_NE(refused.exchange->body.find("4 sequences wait already, and the limit is 4"), std::string::npos) << refused.exchange->body;
    EXPECT_EQ(state("c"), ModelState::kUnloaded);
    // Another key has its half, and no more.
    EXPECT_EQ(ask("c", "modest").exchange->status, 0);
    EXPECT_EQ(ask("a", "modest").exchange->status, 0);
    EXPECT_EQ(ask("b", "modest").exchange->status, 429);
    barrier.open();
    host_.run_until([&] { return state("c") == ModelState::kLoaded; });
    EXPECT_EQ(ask("c", "greedy").n_served, 1);
}

TEST_F(Loading, OfModelsThatAreIdleIsUndoneAfterTheirTime) {
    start({"a", "b"}, {.idle_unload_seconds = 100.0});
    EXPECT_FALSE(models_->seconds_left(entry("a")));
    AskingRequest& busy = ask_and_wait("a");
    use_once("b");
    EXPECT_EQ(models_->seconds_left(entry("b")), 99.0);
    host_.advance(98.0);
    EXPECT_EQ(state("b"), ModelState::kLoaded);
    host_.advance(1.0);
    EXPECT_EQ(state("b"), ModelState::kUnloading);
    wait_for_state("b", ModelState::kUnloaded);
    EXPECT_EQ(models_->seconds_left(entry("a")), 100.0);  // it is busy
    host_.advance(1000.0);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    busy.call.reset();
    host_.advance(99.0);
    ask("a").call.reset();  // a use makes it all anew
    host_.advance(99.0);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    host_.advance(1.0);
    EXPECT_EQ(state("a"), ModelState::kUnloading);
    // Who comes now waits until it has gone and come back.
    AskingRequest& late = ask("a");
    EXPECT_EQ(late.n_served, 0);
    host_.run_until([&] { return late.is_over(); });
    EXPECT_EQ(late.n_served, 1);
    EXPECT_EQ(fake("a").n_loads, 2);
}

TEST_F(Loading, LastsAsLongAsARequestSays) {
    start({"a", "b"}, {.idle_unload_seconds = 100.0});
    use_once("b");
    AskingRequest& a = ask_and_wait("a");
    models_->keep(entry("a"), 10.0);
    EXPECT_EQ(models_->seconds_left(entry("a")), 10.0);
    a.call.reset();
    host_.advance(9.0);
    models_->keep(entry("a"), 3600.0);  // from its last use on
    EXPECT_EQ(models_->seconds_left(entry("a")), 3591.0);
    host_.advance(3590.0);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    models_->keep(entry("a"), kForEver);
    EXPECT_FALSE(models_->seconds_left(entry("a")));
    host_.advance(1e8);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    EXPECT_EQ(state("b"), ModelState::kUnloading);
    models_->keep(entry("a"), 5.0);  // it has been idle for longer
    EXPECT_EQ(state("a"), ModelState::kUnloading);
    wait_for_state("a", ModelState::kUnloaded);
    // What one load was told is nothing to the next.
    use_once("a");
    EXPECT_EQ(models_->seconds_left(entry("a")), 99.0);
}

TEST_F(Loading, EndsWithTheLastCallWhereTheModelIsToGoAtOnce) {
    start({"a", "b"});
    AskingRequest& first = ask_and_wait("a");
    AskingRequest& second = ask("a");
    models_->keep(entry("a"), 0.0);
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    first.call.reset();
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    second.call.reset();
    EXPECT_EQ(state("a"), ModelState::kUnloading);
    wait_for_state("a", ModelState::kUnloaded);
    EXPECT_EQ(told_.find("cannot"), std::string::npos);
}

TEST_F(Loading, TakesThoseThatAreToStayForEverLast) {
    start({"a", "b", "c"}, {.memory_bytes = 200});
    use_once("a");
    models_->keep(entry("a"), kForEver);
    use_once("b");
    use_once("c");
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    EXPECT_EQ(state("b"), ModelState::kUnloaded);
    models_->keep(entry("c"), kForEver);
    use_once("b");  // all stay for ever: there is no other way
    EXPECT_EQ(state("a"), ModelState::kUnloaded);
}

TEST_F(Loading, LeavesFewTimersBehindHoweverOftenAModelIsUsed) {
    start({"a"}, {.idle_unload_seconds = 3600.0});
    use_once("a");
    for (int i = 0; i < 1000; ++i) {
        ask("a").call.reset();
        models_->keep(entry("a"), i % 2 == 0 ? 86400.0 : 50.0);
        host_.advance(1.0);
    }
    EXPECT_EQ(state("a"), ModelState::kLoaded);
    EXPECT_LT(host_.n_timers(), 100U);
}

TEST_F(Loading, IsCompletedForThoseWhoWaitedWhenTheServerStops) {
    start({"a", "b"});
    Barrier barrier;
    fake("a").on_load = barrier.stop();
    AskingRequest& a = ask("a");
    AskingRequest& b = ask("b");
    reach(barrier);
    models_->stop_taking();
    EXPECT_EQ(ask("a").exchange->status, 503);
    barrier.open();
    host_.run_until([&] { return b.is_over(); });
    EXPECT_EQ(a.n_served, 1);
    EXPECT_EQ(b.n_served, 1);
    EXPECT_EQ(ask("a").exchange->status, 503);
}

TEST_F(Loading, EndsInItsMiddleWithTheServer) {
    start({"a", "b"});
    ask_and_wait("b");
    Barrier barrier;
    fake("a").on_load = barrier.stop();
    AskingRequest& a = ask("a");
    reach(barrier);
    models_->stop_taking();
    models_->cancel_all();
    EXPECT_EQ(a.exchange->status, 503);
    models_->stop_engines();
    barrier.open();
    // TearDown() closes the models while the load may still go on, and calls end after that.
}

TEST_F(Loading, CanBeUndoneWhileTheServerEnds) {
    start({"a"});
    use_once("a");
    models_->keep(entry("a"), 0.0);
    EXPECT_EQ(state("a"), ModelState::kUnloading);
    models_->stop_engines();
}

// Requests, ends, clients that go, hours and loads that fail, in any order: memory as planned is never exceeded, and every request comes to
// its one end.
TEST_F(Loading, HoldsTogetherInAnyOrderOfEvents) {
    const std::vector<std::string> names{"a", "b", "c", "d"};
    start(names, {.memory_bytes = 250, .idle_unload_seconds = 40.0, .max_queue = 12});
    fake("d").on_load = [n = 0]() mutable -> Result<void> { return ++n % 2 == 0 ? Result<void>() : Error{"at times", ErrorKind::kIo}; };
    fake("c").planned_bytes = 200;
    std::mt19937 random(5);
    const auto pick = [&](std::size_t n) { return random() % n; };
    std::vector<AskingRequest*> open;
    std::size_t n_asked = 0, n_loads = 0;
    for (int round = 0; round < rafter::tests::rounds(2000); ++round) {
        const std::size_t what = pick(100);
        if (what < 20) {
            open.push_back(&ask(names[pick(names.size())], pick(2) == 0 ? "x" : "y"));
            ++n_asked;
        } else if (what < 50 && !open.empty()) {
            AskingRequest*& one = open[pick(open.size())];
            if (!one->is_over()) one->exchange->leave();
            one->call.reset();
            std::swap(one, open.back());
            open.pop_back();
        } else if (what < 60) {
            host_.advance(static_cast<double>(pick(50)));
        } else if (what < 65) {
            models_->keep(entry(names[pick(names.size())]), std::array{0.0, 5.0, 100.0, kForEver}[pick(4)]);
        } else if (std::ranges::any_of(
                       names, [&](const auto& name) { return state(name) == ModelState::kLoading && entry(name).n_waiting() > 0; }) &&
                   std::ranges::none_of(
                       names, [&](const auto& name) { return state(name) == ModelState::kUnloading && entry(name).n_calls() > 0; })) {
            ASSERT_TRUE(host_.run_one());  // something is on its way
        }
        std::uint64_t sum = 0;
        for (const std::string& name : names) {
            const bool is_in_memory = state(name) == ModelState::kLoaded || state(name) == ModelState::kUnloading;
            sum += is_in_memory ? entry(name).planned_bytes() : 0;
            ASSERT_EQ(entry(name).services() != nullptr, state(name) == ModelState::kLoaded || entry(name).n_calls() > 0) << name;
            if (state(name) == ModelState::kUnloaded || state(name) == ModelState::kLoaded) {
                ASSERT_EQ(entry(name).n_waiting(), 0U) << name;
            }
        }
        ASSERT_LE(sum, 250U);
    }
    for (AskingRequest* one : open) one->call.reset();  // those that wait are held by the models
    host_.run_until([&] { return std::ranges::all_of(names, [&](const auto& name) { return entry(name).n_waiting() == 0; }); });
    for (const auto& one : asked_) {
        ASSERT_LE(one->n_served + (one->exchange->status != 0 ? 1 : 0), 1);
        ASSERT_TRUE(one->is_over());
    }
    for (const std::string& name : names) n_loads += static_cast<std::size_t>(fake(name).n_loads);
    EXPECT_GT(n_asked, static_cast<std::size_t>(rafter::tests::rounds(200)));
    EXPECT_GT(n_loads, static_cast<std::size_t>(rafter::tests::rounds(20)));
}

}  // namespace
}  // namespace rafter::server
