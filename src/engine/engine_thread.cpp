// The thread sleeps only when no request can take a step. Of those that cannot, their masks being compiled, each event wakes it: the mask's
// decision and a cancellation through the Waker, a deadline as the longest that it sleeps.
#include "engine/engine_thread.h"

#include <system_error>
#include <utility>

#include "base/os_cpu.h"

namespace rafter::engine {
namespace {

constexpr double kLateStepDecay = 0.95;

}  // namespace

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

// The request is made ready without the lock, which the engine wants after every step.
Result<std::shared_ptr<TokenStream>> EngineThread::submit(Request request, OnUpdate on_update) {
    {
        const std::lock_guard lock(mutex_);
        if (auto refused = refusal()) return *std::move(refused);
    }
    RAFTER_TRY(auto sequence, prepare(std::move(request), std::move(on_update)));
    const std::lock_guard lock(mutex_);
    if (auto refused = refusal()) return *std::move(refused);
    return put_in_line(std::move(sequence));
}

Result<std::unique_ptr<Sequence>> EngineThread::prepare(Request request, OnUpdate on_update) {
    const auto mask = request.mask;
    if (mask) mask->wake_when_decided(waker_);
    RAFTER_TRY(auto sequence, engine_->prepare(std::move(request), std::move(on_update)));
    if (mask) sequence->stream->wake_on_cancel(waker_);
    return sequence;
}

Result<std::shared_ptr<TokenStream>> EngineThread::enqueue(std::unique_ptr<Sequence> sequence) {
    const std::lock_guard lock(mutex_);
    if (auto over = ending()) return *std::move(over);
    return put_in_line(std::move(sequence));
}

// With the lock held.
Result<std::shared_ptr<TokenStream>> EngineThread::put_in_line(std::unique_ptr<Sequence> sequence) {
    RAFTER_TRY(auto stream, engine_->enqueue(std::move(sequence)));
    ++snapshot_.n_submitted;
    ++snapshot_.n_waiting;
    waker_->wake();
    return stream;
}

void EngineThread::call_after_steps(std::function<void()> call) {
    auto shared = call ? std::make_shared<const std::function<void()>>(std::move(call)) : nullptr;
    const std::lock_guard lock(mutex_);
    after_step_.swap(shared);  // the old one goes without the lock
}

void EngineThread::call_after_step() {
    std::shared_ptr<const std::function<void()>> call;
    {
        const std::lock_guard lock(mutex_);
        call = after_step_;
    }
    if (!call) return;
    describe_step();
    (*call)();
}

// Without memory for it, forecasts go on with an older one.
void EngineThread::describe_step() noexcept try {
    const bool failed = engine_->failure().has_value();
    if (!failed) {
        const StepReport& step = engine_->last_step();
        const SpeculationCounters& drafts = engine_->scheduler().speculator().counters();
        if (!step.shape.sequences.empty()) {
            const auto add = [](double& sum, double value) { sum = kLateStepDecay * sum + value; };
            const std::uint64_t n_accepted = drafts.n_accepted_tokens - late_.n_accepted_before;
            add(late_.weight, 1.0);
            add(late_.host_seconds, std::max(0.0, step.step_seconds - step.forward_seconds));
            add(late_.n_chosen, static_cast<double>(step.n_chosen) - static_cast<double>(n_accepted));
            add(late_.n_drafts, static_cast<double>(drafts.n_draft_tokens - late_.n_drafts_before));
            add(late_.n_accepted, static_cast<double>(n_accepted));
        }
        late_.n_drafts_before = drafts.n_draft_tokens;
        late_.n_accepted_before = drafts.n_accepted_tokens;
        engine_->scheduler().describe(next_outlook_);
        next_outlook_.host_seconds = late_.weight > 0.0 ? late_.host_seconds / late_.weight : 0.0;
        next_outlook_.drafts_per_token = late_.n_chosen > 0.0 ? late_.n_drafts / late_.n_chosen : 0.0;
        next_outlook_.accepted_per_token = late_.n_chosen > 0.0 ? late_.n_accepted / late_.n_chosen : 0.0;
    }
    const std::lock_guard lock(mutex_);
    has_outlook_ = !failed;
    std::swap(outlook_, next_outlook_);
} catch (const std::bad_alloc&) {}

bool EngineThread::describe(SchedulerOutlook& outlook) const {
    const std::lock_guard lock(mutex_);
    if (has_outlook_) outlook = outlook_;
    return has_outlook_;
}

// With the lock held.
std::optional<Error> EngineThread::ending() const {
    if (auto failed = engine_->failure()) return failed;
    if (stop_) return Error{"the engine has been stopped", ErrorKind::kCancelled};
    return std::nullopt;
}

// With the lock held.
std::optional<Error> EngineThread::refusal() {
    if (auto over = ending()) return over;
    if (snapshot_.n_waiting < options_.max_waiting) return std::nullopt;
    ++snapshot_.n_busy;
    return Error{fmt::format("busy: {} requests are already waiting", snapshot_.n_waiting), ErrorKind::kBusy};
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

void EngineThread::run() noexcept {
    name_this_thread("rafter-engine");
    std::optional<CacheUse> cache;  // none: the engine has failed
    try {
        take_steps();
        engine_->end_all({.reason = FinishReason::kCancelled});
        if (engine_->options().kv_disk != nullptr) engine_->forget_unused();  // what the cache holds goes to the file
        if (!engine_->failure()) cache = engine_->scheduler().cache_use();
    } catch (const std::exception& thrown) {
        engine_->fail(thrown.what());
    } catch (...) {
        engine_->fail("an exception of unknown type");
    }
    call_after_step();
    const std::lock_guard lock(mutex_);
    snapshot_.n_running = snapshot_.n_waiting = 0;
    snapshot_.queued_seconds = 0.0;
    if (cache) snapshot_.cache = *cache;
    // Notified with the lock held: whoever waits in stop() may destroy this right after.
    ended_ = true;
    ended_changed_.notify_all();
}

void EngineThread::take_steps() {
    while (wait_for_work()) {
        take_step();
        take_snapshot();
        const StepReport& step = engine_->last_step();
        if (options_.on_step) options_.on_step(step);
        call_after_step();
    }
}

void EngineThread::take_step() {
    std::optional<ComputeLease::Turn> turn;
    if (options_.lease != nullptr) turn.emplace(options_.lease->take(&lease_account_));
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
        waker_->sleep(engine_->failure() ? std::nullopt : engine_->scheduler().seconds_to_deadline());
    }
}

void EngineThread::take_snapshot() {
    const bool failed = engine_->failure().has_value();  // then the scheduler is not looked at
    const CacheUse cache = failed ? CacheUse{} : engine_->scheduler().cache_use();
    const double queued_seconds = failed ? 0.0 : engine_->scheduler().queued_seconds();
    const StepReport& step = engine_->last_step();
    const std::lock_guard lock(mutex_);
    snapshot_.n_running = engine_->n_running();
    snapshot_.n_waiting = engine_->n_waiting();
    snapshot_.cache = cache;
    snapshot_.queued_seconds = queued_seconds;
    snapshot_.n_not_ready = failed ? 0 : engine_->scheduler().n_not_ready();
    if (failed) return;
    snapshot_.scheduler = engine_->scheduler().counters();
    snapshot_.speculation = engine_->scheduler().speculator().counters();
    snapshot_.prefix = engine_->scheduler().cache().counters();
    snapshot_.n_draft_tokens = engine_->scheduler().speculator().counters().n_draft_tokens;
    snapshot_.n_accepted_drafts = engine_->scheduler().speculator().counters().n_accepted_tokens;
    if (step.shape.sequences.empty()) return;
    snapshot_.last_step = step;
    ++snapshot_.n_steps;
    snapshot_.n_tokens += step.shape.n_tokens();
    snapshot_.step_seconds += step.step_seconds;
}

}  // namespace rafter::engine
