// Turns at the compute threads, which engines of one Runtime share: a step is one turn, and turns go to those who ask in the order in which
// they ask. So with several busy models their steps alternate, whatever each step costs, and a model that has nothing to do costs the
// others nothing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace rafter::engine {

// Every function may be called from any thread. It allocates nothing and waits asleep. Outlives its turns.
class ComputeLease {
  public:
    // Ends with its destruction. Moved from, it is none.
    class Turn {
      public:
        Turn(Turn&& other) noexcept : lease_(std::exchange(other.lease_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn() {
            if (lease_ != nullptr) lease_->release();
        }
        // Lets all who wait now go first, then goes on. Nothing when nobody waits.
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

    ComputeLease() = default;
    ComputeLease(const ComputeLease&) = delete;
    ComputeLease& operator=(const ComputeLease&) = delete;

    // Waits behind all who asked before. A thread that holds a turn must not ask for another.
    [[nodiscard]] Turn take();
    [[nodiscard]] Counters counters() const;

  private:
    // Stands on the stack of the thread that waits.
    struct Waiter {
        std::condition_variable woken;
        bool has_turn = false;
        Waiter* behind = nullptr;
    };
    void join_line(Waiter& self);
    void hand_on();
    void release();
    void let_others();

    mutable std::mutex mutex_;  // for what follows
    bool taken_ = false;
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
    Counters counters_;
};

}  // namespace rafter::engine
