// Whoever ends a turn hands it on by name. A mutex alone would not do: the thread that unlocks it usually locks it again before any other
// wakes.
#include "engine/lease.h"

#include <algorithm>

#include "base/clock.h"

namespace rafter::engine {
namespace {

double steady_seconds() { return static_cast<double>(monotonic_ns()) * 1e-9; }

}  // namespace

ComputeLease::ComputeLease() : ComputeLease(steady_seconds, kPatience) {}

ComputeLease::ComputeLease(std::function<double()> seconds, std::chrono::milliseconds patience, double idle_seconds)
    : seconds_(std::move(seconds)), patience_(patience), idle_seconds_(idle_seconds) {}

ComputeLease::Turn ComputeLease::take(Account* account) {
    std::unique_lock lock(mutex_);
    ++counters_.n_turns;
    if (account != nullptr) forget_idle_seconds(*account);
    if (!taken_ && (awaited_ == nullptr || awaited_ == account)) {
        begin_turn(account);
        return Turn(*this);
    }
    Waiter self;
    self.account = account;
    join_line(self);
    wait_in_line(self, lock);
    return Turn(*this);
}

ComputeLease::Counters ComputeLease::counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
}

// Begins at the least that the busy ones have had.
void ComputeLease::forget_idle_seconds(Account& account) {
    if (account.has_run_ && seconds_() - account.ended_seconds_ < idle_seconds_) return;
    double least = -1.0;
    const auto look = [&](const Account* other) {
        if (other != nullptr && other != &account && (least < 0.0 || other->used_seconds_ < least)) least = other->used_seconds_;
    };
    look(holder_);
    for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->behind) look(waiter->account);
    account.used_seconds_ = std::max(account.used_seconds_, least);
}

void ComputeLease::begin_turn(Account* account) {
    taken_ = true;
    holder_ = account;
    awaited_ = nullptr;
    turn_start_seconds_ = seconds_();
}

void ComputeLease::end_turn() {
    taken_ = false;
    if (holder_ == nullptr) return;
    holder_->ended_seconds_ = seconds_();
    holder_->turn_seconds_ = holder_->ended_seconds_ - turn_start_seconds_;
    holder_->used_seconds_ += holder_->turn_seconds_;
    holder_->has_run_ = true;
}

void ComputeLease::join_line(Waiter& self) {
    (first_ == nullptr ? first_ : last_->behind) = &self;
    last_ = &self;
    ++counters_.n_waited;
    ++counters_.n_waiting;
}

// Who is next while an account is awaited looks after its time: when it is over, that account has lost what it was behind.
void ComputeLease::wait_in_line(Waiter& self, std::unique_lock<std::mutex>& lock) {
    while (!self.has_turn) {
        if (taken_ || awaited_ == nullptr) {
            self.woken.wait(lock);
        } else if (self.woken.wait_until(lock, awaited_until_) == std::cv_status::timeout && !self.has_turn && !taken_ &&
                   awaited_ != nullptr) {
            const Account* next = (*next_in_line())->account;
            if (next != nullptr) awaited_->used_seconds_ = std::max(awaited_->used_seconds_, next->used_seconds_);
            hand_on();
        }
    }
}

// The pointer that points to it. Somebody must wait.
ComputeLease::Waiter** ComputeLease::next_in_line() {
    Waiter** best = &first_;
    for (Waiter** at = &first_; *at != nullptr && (*at)->account != nullptr; at = &(*at)->behind) {
        if ((*at)->account->used_seconds_ < (*best)->account->used_seconds_) best = at;
    }
    return best;
}

// With the lock held, also while notifying: the waiter's memory goes as soon as it knows of its turn.
void ComputeLease::hand_on() {
    Waiter** at = next_in_line();
    Waiter& next = **at;
    *at = next.behind;
    if (last_ == &next) {
        last_ = first_;
        while (last_ != nullptr && last_->behind != nullptr) last_ = last_->behind;
    }
    --counters_.n_waiting;
    begin_turn(next.account);
    next.has_turn = true;
    next.woken.notify_one();
}

void ComputeLease::release() {
    const std::lock_guard lock(mutex_);
    end_turn();
    Account* const ended = std::exchange(holder_, nullptr);
    if (first_ == nullptr) return;
    Waiter& next = **next_in_line();
    const bool is_behind =
        ended != nullptr && next.account != nullptr && ended->used_seconds_ + ended->turn_seconds_ < next.account->used_seconds_;
    if (!is_behind) {
        hand_on();
        return;
    }
    awaited_ = ended;
    awaited_until_ = std::chrono::steady_clock::now() + patience_;
    next.woken.notify_one();
}

// Nobody waits for it any more.
void ComputeLease::leave(const Account& account) {
    const std::lock_guard lock(mutex_);
    if (awaited_ != &account) return;
    awaited_ = nullptr;
    if (!taken_ && first_ != nullptr) hand_on();
}

void ComputeLease::let_others() {
    std::unique_lock lock(mutex_);
    if (first_ == nullptr) return;
    ++counters_.n_turns;
    Waiter self;
    join_line(self);
    end_turn();
    hand_on();
    self.woken.wait(lock, [&] { return self.has_turn; });
}

}  // namespace rafter::engine
