// Whoever ends a turn hands it to the first in line by name. A mutex alone would not do: the thread that unlocks it usually locks it again
// before any other wakes.
#include "engine/lease.h"

namespace rafter::engine {

ComputeLease::Turn ComputeLease::take() {
    std::unique_lock lock(mutex_);
    ++counters_.n_turns;
    if (!taken_) {
        taken_ = true;
        return Turn(*this);
    }
    Waiter self;
    join_line(self);
    self.woken.wait(lock, [&] { return self.has_turn; });
    return Turn(*this);
}

ComputeLease::Counters ComputeLease::counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
}

void ComputeLease::join_line(Waiter& self) {
    (first_ == nullptr ? first_ : last_->behind) = &self;
    last_ = &self;
    ++counters_.n_waited;
    ++counters_.n_waiting;
}

// With the lock held, also while notifying: the waiter's memory goes as soon as it knows of its turn.
void ComputeLease::hand_on() {
    Waiter& next = *first_;
    first_ = next.behind;
    --counters_.n_waiting;
    next.has_turn = true;
    next.woken.notify_one();
}

void ComputeLease::release() {
    const std::lock_guard lock(mutex_);
    if (first_ != nullptr) {
        hand_on();
    } else {
        taken_ = false;
    }
}

void ComputeLease::let_others() {
    std::unique_lock lock(mutex_);
    if (first_ == nullptr) return;
    ++counters_.n_turns;
    Waiter self;
    join_line(self);
    hand_on();
    self.woken.wait(lock, [&] { return self.has_turn; });
}

}  // namespace rafter::engine
