// Turns at the compute threads, which engines of one Runtime share: a step is one turn. With several busy models each gets equal seconds,
// whatever a step of it costs, and a model that has nothing to do costs the others nothing.
//
//   line       who asks waits; a turn's end gives the next one to the account that has had the fewest seconds, in the order of asking among
//              equals. A turn without an account keeps its place: all who asked before it go first, and nobody who came after it
//   patience   an account that falls behind by more than its own turns is waited for a moment, because it asks again as soon as it has
//              handed out its results: without that, a model of short steps would get one for each long one
//   idle       an account that has not asked for a while begins again where the busy ones are: idle seconds are not saved up
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

namespace rafter::engine {

// Every function may be called from any thread. It allocates nothing and waits asleep. Outlives its turns and accounts.
class ComputeLease {
  public:
    // Of who takes turns again and again; belongs to them, and is the lease's to read and write. Ends when it neither has a turn nor waits.
    class Account {
      public:
        explicit Account(ComputeLease* lease) : lease_(lease) {}  // null: it is never used
        ~Account() {
            if (lease_ != nullptr) lease_->leave(*this);
        }
        Account(const Account&) = delete;
        Account& operator=(const Account&) = delete;

      private:
        friend class ComputeLease;
        ComputeLease* const lease_;
        double used_seconds_ = 0.0;
        double turn_seconds_ = 0.0;   // of the latest turn
        double ended_seconds_ = 0.0;  // when that was
        bool has_run_ = false;
    };

    // Ends with its destruction. Moved from, it is none.
    class Turn {
      public:
        Turn(Turn&& other) noexcept : lease_(std::exchange(other.lease_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn() {
            if (lease_ != nullptr) lease_->release();
        }
        // Lets all who wait now go first, then goes on. Nothing when nobody waits. Of a turn without an account.
        void let_others() { lease_->let_others(); }

      private:
        friend class ComputeLease;
        explicit Turn(ComputeLease& lease) : lease_(&lease) {}
        ComputeLease* lease_;
    };

    // Sums since the start, but for n_waiting.
    struct Counters {
        std::uint64_t n_turns = 0;
        std::uint64_t n_waited = 0;   // turns for which somebody had to wait
        std::uint64_t n_waiting = 0;  // who wait now
    };

    static constexpr std::chrono::milliseconds kPatience{5};
    static constexpr double kIdleSeconds = 0.1;  // without a turn, and without asking for one

    ComputeLease();
    // seconds: a clock for accounts, for tests. patience: real time.
    ComputeLease(std::function<double()> seconds, std::chrono::milliseconds patience, double idle_seconds = kIdleSeconds);
    ComputeLease(const ComputeLease&) = delete;
    ComputeLease& operator=(const ComputeLease&) = delete;

    // Waits behind all who come first. A thread that holds a turn must not ask for another. account: null, or one that no other thread uses
    // now; it stays until the turn has ended.
    [[nodiscard]] Turn take(Account* account = nullptr);
    [[nodiscard]] Counters counters() const;

  private:
    // Stands on the stack of the thread that waits.
    struct Waiter {
        Account* account = nullptr;
        std::condition_variable woken;
        bool has_turn = false;
        Waiter* behind = nullptr;
    };
    void join_line(Waiter& self);
    void wait_in_line(Waiter& self, std::unique_lock<std::mutex>& lock);
    [[nodiscard]] Waiter** next_in_line();
    void hand_on();
    void begin_turn(Account* account);
    void end_turn();
    void forget_idle_seconds(Account& account);
    void release();
    void let_others();
    void leave(const Account& account);

    const std::function<double()> seconds_;
    const std::chrono::milliseconds patience_;
    const double idle_seconds_;
    mutable std::mutex mutex_;  // for what follows
    bool taken_ = false;
    Account* holder_ = nullptr;  // of the turn that is taken; null: it has no account
    double turn_start_seconds_ = 0.0;
    Account* awaited_ = nullptr;  // nobody but it gets the turn until awaited_until_
    std::chrono::steady_clock::time_point awaited_until_;
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
    Counters counters_;
};

}  // namespace rafter::engine
