// The engine: requests in, token streams out. step() is the life of a token: which tokens of which sequences, the model on them, the next
// token of each, and out to the streams.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "engine/outbox.h"
#include "engine/plan.h"
#include "engine/request.h"
#include "engine/runner.h"
#include "engine/sampling/mask_ahead.h"
#include "engine/scheduler.h"
#include "engine/token_stream.h"
#include "model/step_shape.h"

namespace rafter::engine {

// What the last step did.
struct StepReport {
    StepKind kind = StepKind::kNone;
    model::StepShape shape;
    std::uint32_t n_chosen = 0;           // tokens that it added to answers
    std::uint32_t n_decoding = 0;         // sequences whose answers it went on with
    std::uint32_t n_draft_tokens = 0;     // that it checked
    std::uint32_t n_accepted_drafts = 0;  // of them, that were right
    std::uint32_t n_recomputed = 0;       // of its tokens, that were computed before a preemption
    CacheUse cache;                       // at its end
    kv::BlockCacheCounters prefix;        // since the engine's start, at the step's end, as the next
    SchedulerCounters scheduler;
    double predicted_seconds = 0.0;  // for the model; 0: nothing is known of this machine
    double priced_seconds = 0.0;     // the same without what earlier steps taught
    double draft_seconds = 0.0;      // drafting
    double forward_seconds = 0.0;    // in the model
    double sample_seconds = 0.0;     // choosing and scoring tokens
    double step_seconds = 0.0;       // all of it: scheduling, sampling and streams too
};

// A stopwatch for the parts of a step.
class StepTimer {
  public:
    // Seconds since the last lap, or the start.
    double lap();
    [[nodiscard]] double total() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point lap_ = start_;
};

// prepare(), enqueue(), submit() and failure() may be called from any thread; step() and the rest from one thread, the engine's.
//
// What fails for one request (its submission, choosing or showing its tokens) ends that request alone. Whatever else throws has failed the
// engine: half a step was done, and nothing that steps share can be trusted. Every stream then ends with kError and only its own text,
// requests are refused, and the scheduler, its cache and its drafter are not used again.
class Engine {
  public:
    // model and tokenizer outlive this; options are what the model was loaded with. sink: where each step's updates go; empty: to the
    // streams.
    Engine(backend::DeviceModel& model, const text::Tokenizer& tokenizer, const SchedulerOptions& options, Sink sink = {});
    // Requests under way end as cancelled.
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Fails on a request that can never run: an empty prompt, one beyond the context, unknown tokens, senseless options; when there is no
    // memory for it; and when the engine has failed. on_update: the reader, where nobody waits at the stream.
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> submit(Request request, OnUpdate on_update = {});
    // submit() in two: what takes time, and what may be done with a lock held.
    [[nodiscard]] Result<std::unique_ptr<Sequence>> prepare(Request request, OnUpdate on_update = {}) const;
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> enqueue(std::unique_ptr<Sequence> sequence);

    // False when there was nothing to do (no request but those whose masks are not decided), and when the engine has failed. Throws
    // nothing.
    bool step() noexcept;
    // As if a step had thrown this: for who steps it and cannot go on.
    void fail(const char* what) noexcept;
    // Every request ends here and now, with what it has.
    void end_all(const Finish& finish) noexcept;
    // Why the engine takes no more steps and no requests; none: it does.
    [[nodiscard]] std::optional<Error> failure() const;

    // Requests that no step has begun with, or that were preempted.
    [[nodiscard]] std::size_t n_waiting() { return failed_ ? 0 : inbox_.size() + scheduler_.n_waiting(); }
    [[nodiscard]] std::size_t n_running() const { return failed_ ? 0 : scheduler_.n_running(); }

    [[nodiscard]] const StepReport& last_step() const { return report_; }
    [[nodiscard]] const SchedulerOptions& options() const { return options_; }
    [[nodiscard]] const Scheduler& scheduler() const { return scheduler_; }
    // Drops what ended sequences left in the cache.
    void forget_unused() {
        if (!failed_) scheduler_.forget_unused();
    }

  private:
    // Requests on their way from submit() to the engine's thread.
    class Inbox {
      public:
        void put(std::unique_ptr<Sequence> sequence);
        void drain_into(Scheduler& scheduler);
        [[nodiscard]] std::size_t size();

      private:
        std::mutex mutex_;
        std::vector<std::unique_ptr<Sequence>> arrived_;
        std::vector<std::unique_ptr<Sequence>> drained_;  // kept for its memory
    };

    [[nodiscard]] Result<void> check_tokens(std::string_view what, std::span<const TokenId> tokens) const;
    [[nodiscard]] bool take_step();
    template <typename Work>
    void or_fail(const Work& work) noexcept;
    [[nodiscard]] backend::StepOutput forward(const Plan& plan);
    void describe(const Plan& plan);
    [[nodiscard]] Result<void> check(Request& request) const;
    void sample(const Plan& plan, const backend::StepOutput& out);
    // For one sequence: first_output is its first row of the step's logits, or of its hidden states.
    void sample(const PlannedSequence& planned, const backend::StepOutput& out, std::size_t first_output, SamplerScratch& scratch,
                Accepted& accepted) const;

    backend::DeviceModel& model_;
    const text::Tokenizer& tokenizer_;
    SchedulerOptions options_;
    std::size_t n_vocab_;
    Inbox inbox_;
    Scheduler scheduler_;
    Runner runner_;
    MaskAhead mask_ahead_;
    std::vector<SamplerScratch> scratch_;  // [n_threads]
    // By the step's sequences; kept for their memory.
    std::vector<Accepted> accepted_;
    struct SampledSequence {
        std::size_t index = 0;         // in the plan
        std::size_t first_output = 0;  // its first row of the step's logits, or of its hidden states
    };
    std::vector<SampledSequence> sampled_;
    StepReport report_;
    Outbox outbox_;
    const std::shared_ptr<Error> failure_;  // its message has memory for what step() may have to say; set before failed_
    std::atomic<bool> failed_ = false;
};

}  // namespace rafter::engine
