// The engine: requests in, token streams out. step() is the life of a token: which tokens of which sequences, the model on them, the next
// token of each, and out to the streams.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "engine/plan.h"
#include "engine/request.h"
#include "engine/runner.h"
#include "engine/scheduler.h"
#include "engine/token_stream.h"
#include "model/step_shape.h"

namespace rafter::engine {

// What the last step did.
struct StepReport {
    StepKind kind = StepKind::kNone;
    model::StepShape shape;
    std::uint32_t n_chosen = 0;      // tokens that it added to answers
    CacheUse cache;                  // at its end
    double predicted_seconds = 0.0;  // for the model; 0: nothing is known of this machine
    double priced_seconds = 0.0;     // the same without what earlier steps taught
    double draft_seconds = 0.0;      // drafting
    double forward_seconds = 0.0;    // in the model
    double sample_seconds = 0.0;     // choosing and scoring tokens
    double step_seconds = 0.0;       // all of it: scheduling, sampling and streams too
};

// submit() may be called from any thread; step() and the rest from one thread, the engine's.
class Engine {
  public:
    // model and tokenizer outlive this; options are what the model was loaded with.
    Engine(backend::DeviceModel& model, const text::Tokenizer& tokenizer, const SchedulerOptions& options);

    // Fails on a request that can never run: an empty prompt, one beyond the context, unknown tokens, senseless options.
    [[nodiscard]] Result<std::shared_ptr<TokenStream>> submit(Request request);
    // False when there was nothing to do: no request but those whose masks are not decided.
    bool step();
    // Every request ends here and now, with what it has.
    void end_all(const Finish& finish);

    // Requests that no step has begun with, or that were preempted.
    [[nodiscard]] std::size_t n_waiting() { return inbox_.size() + scheduler_.n_waiting(); }

    [[nodiscard]] const StepReport& last_step() const { return report_; }
    [[nodiscard]] const SchedulerOptions& options() const { return options_; }
    [[nodiscard]] const Scheduler& scheduler() const { return scheduler_; }
    // Drops what ended sequences left in the cache.
    void forget_unused() { scheduler_.forget_unused(); }

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
    };

    [[nodiscard]] Result<void> check_tokens(std::string_view what, std::span<const TokenId> tokens) const;
    void sample(const Plan& plan, const backend::StepOutput& out);
    // For one sequence: first_output is its first among the step's.
    void sample(const PlannedSequence& planned, const backend::StepOutput& out, std::size_t first_output, SamplerScratch& scratch,
                Accepted& accepted) const;

    backend::DeviceModel& model_;
    const text::Tokenizer& tokenizer_;
    SchedulerOptions options_;
    std::size_t n_vocab_;
    Inbox inbox_;
    Scheduler scheduler_;
    Runner runner_;
    std::vector<SamplerScratch> scratch_;  // [n_threads]
    // By the step's sequences; kept for their memory.
    std::vector<Accepted> accepted_;
    struct SampledSequence {
        std::size_t index = 0;         // in the plan
        std::size_t first_output = 0;  // among the step's
    };
    std::vector<SampledSequence> sampled_;
    StepReport report_;
};

}  // namespace rafter::engine
