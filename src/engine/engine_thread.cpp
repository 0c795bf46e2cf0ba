// The thread sleeps only when no request can take a step. Of those that cannot, their masks being compiled, each event wakes it: the mask's
// decision and a cancellation through the Waker, a deadline as the longest that it sleeps.
#include "engine/engine_thread.h"

#include <system_error>
#include <utility>

namespace rafter::engine {

Result<std::unique_ptr<EngineThread>> EngineThread::start(std::unique_ptr<Engine> engine, const EngineThreadOptions& options) {
    std::unique_ptr<EngineThread> started(new EngineThread(std::move(engine), options));
    try {
        started->thread_ = std::thread([self = started.get()] { self->run(); });
    } catch (const std::system_error& failure) {
        return Error{fmt::format("no thread for the engine: {}", failure.what()), ErrorKind::kIo};
    }
    return started;
}

EngineThread::~EngineThread() {
    if (!thread_.joinable()) return;
    stop(StopMode::kCancel);
    thread_.join();
}

Result<std::shared_ptr<TokenStream>> EngineThread::submit(Request request) {
    const std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    if (stop_) return Error{"the engine has been stopped", ErrorKind::kCancelled};
    if (snapshot_.n_waiting >= options_.max_waiting) {
        ++snapshot_.n_busy;
        return Error{fmt::format("busy: {} requests wait already", snapshot_.n_waiting), ErrorKind::kBusy};
    }
    const bool has_mask = request.mask != nullptr;
    if (has_mask) request.mask->wake_when_decided(waker_);
    RAFTER_TRY(auto stream, engine_->submit(std::move(request)));
    if (has_mask) stream->wake_on_cancel(waker_);
    ++snapshot_.n_submitted;
    ++snapshot_.n_waiting;
    waker_->wake();
    return stream;
}

void EngineThread::stop(StopMode mode) {
    std::unique_lock lock(mutex_);
    if (!stop_ || mode == StopMode::kCancel) stop_ = mode;
    waker_->wake();
    ended_changed_.wait(lock, [this] { return ended_; });
}

EngineSnapshot EngineThread::snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
}

void EngineThread::run() {
    Finish finish{.reason = FinishReason::kCancelled};
    try {
        while (wait_for_work()) {
            take_step();
            take_snapshot(engine_->last_step());
        }
        engine_->end_all(finish);
        if (engine_->options().kv_disk != nullptr) engine_->forget_unused();  // what the cache holds goes to the file
    } catch (const std::exception& failure) {
        // Half a step was done: nothing that the engine has can be trusted.
        finish = {.reason = FinishReason::kError, .error = error_of(failure).within("the engine has failed")};
        {
            const std::lock_guard lock(mutex_);
            failure_ = finish.error;
        }
        engine_->end_all(finish);
    }
    take_snapshot({});
    // Notified with the lock held: whoever waits in stop() may destroy this right after.
    const std::lock_guard lock(mutex_);
    ended_ = true;
    ended_changed_.notify_all();
}

void EngineThread::take_step() {
    std::optional<ComputeLease::Turn> turn;
    if (options_.lease != nullptr) turn.emplace(options_.lease->take());
    engine_->step();
}

// False when the thread is to end.
bool EngineThread::wait_for_work() {
    for (bool woken = false;; woken = true) {
        {
            const std::lock_guard lock(mutex_);
            const std::uint64_t n_requests = snapshot_.n_running + snapshot_.n_waiting;
            if (stop_ == StopMode::kCancel || (stop_ && n_requests == 0)) return false;
            if (n_requests > (woken ? 0 : snapshot_.n_not_ready)) return true;
        }
        waker_->sleep(engine_->scheduler().seconds_to_deadline());
    }
}

void EngineThread::take_snapshot(const StepReport& step) {
    const Scheduler& scheduler = engine_->scheduler();
    const std::lock_guard lock(mutex_);
    snapshot_.n_running = scheduler.n_running();
    snapshot_.n_waiting = engine_->n_waiting();
    snapshot_.n_not_ready = scheduler.n_not_ready();
    snapshot_.cache = scheduler.cache_use();
    snapshot_.scheduler = scheduler.counters();
    snapshot_.n_draft_tokens = scheduler.speculator().counters().n_draft_tokens;
    snapshot_.n_accepted_drafts = scheduler.speculator().counters().n_accepted_tokens;
    if (step.shape.sequences.empty()) return;
    snapshot_.last_step = step;
    ++snapshot_.n_steps;
    snapshot_.n_tokens += step.shape.n_tokens();
    snapshot_.step_seconds += step.step_seconds;
}

}  // namespace rafter::engine
