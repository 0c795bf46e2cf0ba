// Every allocation on the server's thread fails in turn: while arrivals are taken, queued, handed over, cancelled and read. What fails ends
// one arrival; every sequence that was taken gets one finish, and the gate goes on.
#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <mutex>

#include "tests/engine/made_up_price.h"
#include "tests/server/admission/gate_rig.h"
#include "tests/support/rounds.h"

namespace rafter::server {
namespace {

using namespace tests;
using engine::tests::request_of;

// Counts; allocates nothing.
class Finishes {
  public:
    void add(std::size_t arrival) {
        const std::lock_guard lock(mutex_);
        ++n_[arrival];
        changed_.notify_all();
    }
    void wait_for(std::size_t arrival, std::size_t n) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return n_[arrival] >= n; });
    }
    [[nodiscard]] std::size_t of(std::size_t arrival) {
        const std::lock_guard lock(mutex_);
        return n_[arrival];
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::array<std::size_t, 16> n_{};
};

// True where an allocation failed.
bool run_with_failing_allocation(std::uint64_t n) {
    engine::tests::RigOptions setup;
    setup.limits = {.n_tokens = 32, .n_outputs = 2};
    setup.cost = engine::StepCost(engine::tests::made_up_price, 32, 128);
    engine::tests::AllocationFault fault(n);
    Finishes finishes;
    GateRig rig(setup);
    std::vector<Arrival> arrivals;
    std::vector<std::size_t> n_sequences;
    for (std::size_t i = 0; i < 6; ++i) {
        n_sequences.push_back(1 + i % 3);
        arrivals.push_back({.key = i % 2 == 0 ? "one key" : "another key, too long for a small string",
                            .priority = 0,
                            .sequences = std::vector(n_sequences.back(), request_of("abcdabcdabcdabcd", 12)),
                            .max_ttft_seconds = {},
                            .on_update = [&finishes, i](std::size_t, engine::StreamUpdate&& update) {
                                if (update.finish) finishes.add(i);
                            }});
    }
    std::array<bool, 6> taken{};
    rig.server.call([&] { rig.server.fault = &fault; });
    rig.server.call([&] {
        std::array<Ticket, 6> tickets{};
        for (std::size_t i = 0; i < arrivals.size(); ++i) taken[i] = !rig.gate->submit(std::move(arrivals[i]), tickets[i]).has_value();
        (void)rig.gate->load();
        if (taken[3]) rig.gate->cancel(tickets[3].id);
    });
    for (std::size_t i = 0; i < taken.size(); ++i) {
        if (taken[i]) finishes.wait_for(i, n_sequences[i]);
    }
    rig.server.call([&] { rig.server.fault = nullptr; });
    std::size_t n_refused = 0;
    for (std::size_t i = 0; i < taken.size(); ++i) {
        EXPECT_EQ(finishes.of(i), taken[i] ? n_sequences[i] : 0) << "arrival " << i << ", allocation " << n;
        n_refused += taken[i] ? 0 : 1;
    }
    EXPECT_LE(n_refused, 1U);
    Ticket ticket;
    EXPECT_FALSE(
        rig.submit({.key = "", .priority = 0, .sequences = {request_of("abc", 5)}, .max_ttft_seconds = {}, .on_update = {}}, ticket, 0));
    rig.readers.wait();
    EXPECT_EQ(rig.readers.answers()[0][0].finish->reason, engine::FinishReason::kLength);
    GateLoad load;
    rig.server.call([&] { load = rig.gate->load(); });
    EXPECT_EQ(load.n_queued, 0U);
    rig.close();
    engine::tests::expect_empty(rig.engine);
    return fault.fired();
}

TEST(AllocationSweep, OfTheServersThreadEndsOneArrivalAndLosesNoFinish) {
    std::uint64_t n = 0;
    while (run_with_failing_allocation(n) && !testing::Test::HasFailure())
        n += static_cast<std::uint64_t>(1000 / rafter::tests::rounds(1000));
    EXPECT_GT(n, 100U);
}

}  // namespace
}  // namespace rafter::server
