// An engine with a thread of its own: requests come from any thread, one thread takes the steps, and it sleeps while there is nothing to
// do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/engine.h"
#include "engine/lease.h"
#include "engine/waker.h"

namespace rafter::engine {

struct EngineThreadOptions {
    std::uint32_t max_waiting = 256;  // requests in line, for a first step or preempted, as of the last step; more are refused
    ComputeLease* lease = nullptr;    // each step is a turn of it; outlives the thread; null: nobody else uses the compute threads
    // Called on the engine's thread after each step; one that only ended requests has an empty shape. Its time delays the next step; it
    // must not throw. May be empty.
    std::function<void(const StepReport& step)> on_step = {};
};

// How an engine is, and sums since its start.
struct EngineSnapshot {
    StepReport last_step;  // the last one that computed something
    CacheUse cache;
    SchedulerCounters scheduler;
    SpeculationCounters speculation;
    kv::BlockCacheCounters prefix;
    std::uint64_t n_running = 0;
    std::uint64_t n_waiting = 0;
    std::uint64_t n_not_ready = 0;  // of those that wait: their masks are still being compiled
    // Predicted for what running and waiting requests have left: prompts, and answers of the length to expect. 0 without prices.
    double queued_seconds = 0.0;
    std::uint64_t n_submitted = 0;        // requests that were taken
    std::uint64_t n_busy = 0;             // requests that were refused because too many waited
    std::uint64_t n_steps = 0;            // that computed something
    std::uint64_t n_tokens = 0;           // that they computed, of prompts and answers
    double step_seconds = 0.0;            // that they took
    std::uint64_t n_draft_tokens = 0;     // that steps checked
    std::uint64_t n_accepted_drafts = 0;  // of them, that were right
};

// How requests under way end when the thread stops.
enum class StopMode {
    kDrain,   // as if it did not stop
    kCancel,  // before the next step: FinishReason::kCancelled, with what they have
};

// Every function may be called from any thread. Every stream gets its finish, whatever happens: no reader waits for ever.
class EngineThread {
  public:
    // Fails where the system gives no thread. What the engine uses outlives this.
    [[nodiscard]] static Result<std::unique_ptr<EngineThread>> start(std::unique_ptr<Engine> engine, const EngineThreadOptions& options);
    // stop(kCancel). Streams outlive it.
    ~EngineThread();
    EngineThread(const EngineThread&) = delete;
    EngineThread& operator=(const EngineThread&) = delete;

    // Fails as Engine::submit does; with kBusy when too many wait, and with kCancelled after stop(). on_update: called on the engine's
    // thread; empty: the stream is the mailbox.
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> submit(Request request, OnUpdate on_update = {});
    // submit() in two, for a caller with a line of its own, whom max_waiting does not hold back: what fails for the request's own sake, and
    // its place in the engine's line. A request arrives with prepare(): its timeout and its times count from there.
    [[nodiscard]] Result<std::unique_ptr<Sequence>> prepare(Request request, OnUpdate on_update = {});
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> enqueue(std::unique_ptr<Sequence> sequence);
    // Called on the engine's thread after each step, when its updates are with their readers and the snapshot is of it, and once more when
    // every stream has ended. It must not wait, throw, stop or destroy this. In place of the one before, which may still be in a call;
    // empty: nothing is called.
    void call_after_steps(std::function<void()> call);
    // Returns when every request has ended, the thread takes no more steps, and the cache's blocks are in the file on disk, if there is
    // one. A kCancel hurries a kDrain that another thread waits for.
    void stop(StopMode mode);
    // As it was after the last step.
    [[nodiscard]] EngineSnapshot snapshot() const;
    // The same for forecasts, in place of what is in it: only of steps that call_after_steps() had a call for. False: there was none yet,
    // or the engine has failed.
    [[nodiscard]] bool describe(SchedulerOutlook& outlook) const;
    // Why it takes no requests any more; none: it does, or was stopped.
    [[nodiscard]] std::optional<Error> failure() const { return engine_->failure(); }
    // Seconds of the clock by which sequences arrive.
    [[nodiscard]] double now() const { return engine_->scheduler().now(); }
    [[nodiscard]] const SchedulerOptions& options() const { return engine_->options(); }

  private:
    EngineThread(std::unique_ptr<Engine> engine, const EngineThreadOptions& options) : engine_(std::move(engine)), options_(options) {}
    void run() noexcept;
    void take_steps();
    void take_step();
    [[nodiscard]] bool wait_for_work();
    void take_snapshot();
    void call_after_step();
    void describe_step() noexcept;
    [[nodiscard]] std::optional<Error> refusal();
    [[nodiscard]] std::optional<Error> ending() const;
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> put_in_line(std::unique_ptr<Sequence> sequence);

    // Of steps, each counting for a little less than the one after it.
    struct LateSteps {
        double weight = 0.0, host_seconds = 0.0;
        double n_chosen = 0.0, n_drafts = 0.0, n_accepted = 0.0;   // tokens
        std::uint64_t n_drafts_before = 0, n_accepted_before = 0;  // of all steps so far
    };

    const std::unique_ptr<Engine> engine_;  // but for prepare(), enqueue(), options(), now() and failure(), the thread's
    const EngineThreadOptions options_;
    ComputeLease::Account lease_account_{options_.lease};  // the thread's
    const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
    mutable std::mutex mutex_;  // for what follows
    std::condition_variable ended_changed_;
    std::optional<StopMode> stop_;
    bool ended_ = false;
    EngineSnapshot snapshot_;
    std::shared_ptr<const std::function<void()>> after_step_;
    bool has_outlook_ = false;
    SchedulerOutlook outlook_;

    SchedulerOutlook next_outlook_;  // the thread's, while it fills it in
    LateSteps late_;                 // the thread's
    std::thread thread_;
};

}  // namespace rafter::engine
