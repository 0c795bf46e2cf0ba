// One step of the engine, in order: inbox, schedule, forward, sample, commit.
#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/current_error.h"
#include "report/units.h"

namespace rafter::engine {
namespace {

constexpr std::size_t kMaxFailureBytes = 1000;

}  // namespace

double StepTimer::lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(lap_, now)).count();
}

Engine::Engine(backend::DeviceModel& model, const text::Tokenizer& tokenizer, const SchedulerOptions& options, Sink sink)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      n_vocab_(model.program().config.n_vocab),
      scheduler_(options_),
      runner_(model),
      mask_ahead_(n_vocab_),
      outbox_(std::move(sink)),
      failure_(std::make_shared<Error>(Error{"the engine has failed: ", ErrorKind::kInternal})) {
    failure_->message.reserve(kMaxFailureBytes);
    for (unsigned thread = 0; thread < model.n_threads(); ++thread) {
        scratch_.emplace_back(model.sampling_kernels(), model.row_scratch(thread));
    }
}

Engine::~Engine() {
    end_all({.reason = FinishReason::kCancelled});
    outbox_.end_all({.reason = FinishReason::kCancelled});  // what callbacks submitted when their requests ended
}

Result<void> Engine::check(Request& request) const {
    if (request.prompt.empty()) return bad_input("the prompt is empty: expected at least one token");
    RAFTER_TRY_VOID(check_tokens("the prompt", request.prompt));
    if (request.output != OutputKind::kTokens) {
        if (request.score_prompt_from) return bad_input("scores of a prompt and its hidden states: expected one of them in a request");
        request.max_tokens = 0;
    }
    if (request.mask && request.mask->decided()) {
        if (auto mask = request.mask->mask(); !mask) return mask.error();
    }
    // An answer needs room for one token at least.
    const std::size_t n_most = options_.context - (request.max_tokens > 0 ? 1 : 0);
    if (request.prompt.size() > n_most) {
        return bad_input("the prompt is too long: expected at most {} tokens in a context of {}, found {}", report::grouped(n_most),
                         report::grouped(options_.context), report::grouped(request.prompt.size()));
    }
    // What the context ends is told apart from what max_tokens ends by the one token that would have come. Predictions count with
    // max_tokens.
    const std::size_t n_fitting = options_.context - request.prompt.size() + 1;
    request.max_tokens = static_cast<std::uint32_t>(std::min<std::size_t>(request.max_tokens, n_fitting));
    RAFTER_TRY_VOID(check_tokens("the probed tokens", request.probed_tokens));
    for (const ForcedTokens& forced : request.forced) RAFTER_TRY_VOID(check_tokens("the forced answer", forced.tokens));
    if (request.score_prompt_from && *request.score_prompt_from >= request.prompt.size()) {
        return bad_input("scoring starts at position {}, but the prompt has only {} tokens", *request.score_prompt_from,
                         request.prompt.size());
    }
    return validate(request.sampling, n_vocab_);
}

Result<void> Engine::check_tokens(std::string_view what, std::span<const TokenId> tokens) const {
    for (const TokenId token : tokens) {
        if (token < 0 || static_cast<std::size_t>(token) >= n_vocab_) {
            return bad_input("{} holds token {}: expected 0 to {}", what, token, n_vocab_ - 1);
        }
    }
    return {};
}

Result<std::unique_ptr<Sequence>> Engine::prepare(Request request, OnUpdate on_update) const {
    try {
        RAFTER_TRY_VOID(check(request));
        auto stream = std::make_shared<TokenStream>(n_vocab_, std::move(on_update), scheduler_.cancellations());
        auto sequence = std::make_unique<Sequence>(std::move(request), std::move(stream), tokenizer_);
        (void)sequence->cache_key(options_.block_size);  // hashes the prompt's blocks here, not in a step
        sequence->mark_arrived(scheduler_.now());
        return sequence;
    } catch (const std::exception& thrown) {
        return error_of(thrown).within("the request cannot be accepted");
    }
}

Result<std::shared_ptr<TokenStream>> Engine::enqueue(std::unique_ptr<Sequence> sequence) {
    std::shared_ptr<TokenStream> stream = sequence->stream;
    try {
        if (!outbox_.open(stream)) return failure().value_or(Error{"the engine has ended", ErrorKind::kCancelled});
    } catch (const std::exception& thrown) {
        return error_of(thrown).within("the request cannot be accepted");
    }
    try {
        inbox_.put(std::move(sequence));
    } catch (const std::exception& thrown) {
        outbox_.close(*stream);
        return error_of(thrown).within("the request cannot be accepted");
    }
    return stream;
}

Result<std::shared_ptr<TokenStream>> Engine::submit(Request request, OnUpdate on_update) {
    if (auto failed = failure()) return *std::move(failed);
    RAFTER_TRY(auto sequence, prepare(std::move(request), std::move(on_update)));
    return enqueue(std::move(sequence));
}

bool Engine::step() noexcept {
    bool worked = false;
    or_fail([&] { worked = take_step(); });
    return worked && !failed_;
}

bool Engine::take_step() {
    StepTimer timer;
    report_ = {};
    inbox_.drain_into(scheduler_);
    Plan plan = scheduler_.schedule();
    if (plan.sequences.empty()) {
        outbox_.deliver(scheduler_.updates());
        return scheduler_.has_work();
    }
    (void)timer.lap();
    scheduler_.draft(plan);
    report_.draft_seconds = timer.lap();
    const backend::StepOutput out = forward(plan);
    report_.forward_seconds = timer.lap();
    sample(plan, out);
    report_.sample_seconds = timer.lap();
    describe(plan);
    outbox_.deliver(scheduler_.commit(plan, accepted_));
    report_.cache = scheduler_.cache_use();
    report_.prefix = scheduler_.cache().counters();
    report_.scheduler = scheduler_.counters();
    scheduler_.learn(report_.shape, report_.forward_seconds);
    report_.step_seconds = timer.total();
    return true;
}

backend::StepOutput Engine::forward(const Plan& plan) {
    const MaskAhead::Work masks(mask_ahead_, plan);
    return runner_.forward(plan);
}

// What the step does, before commit() moves its sequences on.
void Engine::describe(const Plan& plan) {
    for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
        const PlannedSequence& planned = plan.sequences[i];
        const auto n_chosen = static_cast<std::uint32_t>(accepted_[i].tokens.size());
        const auto n_drafts = static_cast<std::uint32_t>(planned.drafts.size());
        report_.n_chosen += n_chosen;
        report_.n_decoding += planned.decodes() ? 1 : 0;
        report_.n_draft_tokens += n_drafts;
        report_.n_accepted_drafts += std::min(n_drafts, n_chosen - std::min(n_chosen, 1U));
        const Sequence& sequence = *planned.sequence;
        const std::uint32_t n_before = sequence.n_sampled_through - std::min(sequence.n_sampled_through, sequence.n_computed);
        if (sequence.n_preemptions > 0) report_.n_recomputed += std::min(planned.n_new, n_before);
    }
    report_.kind = plan.kind();
    report_.shape = runner_.batch().shape();
    report_.predicted_seconds = scheduler_.cost().seconds(report_.shape);
    report_.priced_seconds = report_.predicted_seconds / scheduler_.cost().correction(report_.shape.n_tokens());
}

void Engine::end_all(const Finish& finish) noexcept {
    or_fail([&] {
        inbox_.drain_into(scheduler_);
        outbox_.deliver(scheduler_.end_all(finish));
    });
}

template <typename Work>
void Engine::or_fail(const Work& work) noexcept {
    if (failed_) return;
    try {
        work();
    } catch (const std::exception& thrown) {
        fail(thrown.what());
    } catch (...) {
        fail("an exception of unknown type");
    }
}

// Allocates nothing: what failed may be memory. Once it has failed, the message is read by other threads.
void Engine::fail(const char* what) noexcept {
    if (failed_) return;
    const std::size_t n_free = failure_->message.capacity() - failure_->message.size();
    failure_->message.append(what, std::min(n_free, std::char_traits<char>::length(what)));
    report_ = {};
    failed_ = true;
    outbox_.end_all({.reason = FinishReason::kError, .error = std::shared_ptr<const Error>(failure_)});
}

std::optional<Error> Engine::failure() const { return failed_ ? std::optional(*failure_) : std::nullopt; }

// A sequence's rows are one thread's, because each needs the token before it; the sequences are the team's.
void Engine::sample(const Plan& plan, const backend::StepOutput& out) {
    accepted_.resize(plan.sequences.size());
    sampled_.clear();
    std::size_t first_output = 0;
    std::size_t first_hidden = runner_.batch().output_rows.size();
    for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
        accepted_[i].clear();
        const model::SequenceStep step = plan.sequences[i].step();
        if (step.n_outputs > 0) sampled_.push_back({.index = i, .first_output = first_output});
        if (step.n_hidden > 0) sampled_.push_back({.index = i, .first_output = first_hidden});
        first_output += step.n_outputs;
        first_hidden += step.n_hidden;
    }
    model_.run_rows(sampled_.size(), [&](std::size_t row, unsigned thread) noexcept {
        const auto [i, first] = sampled_[row];
        try {
            sample(plan.sequences[i], out, first, scratch_[thread], accepted_[i]);
        } catch (...) {
            accepted_[i].clear();
            accepted_[i].error = current_error();
        }
    });
}

// The logits after each draft token are the model's only as long as every draft token before them is what the model chooses there.
void Engine::sample(const PlannedSequence& planned, const backend::StepOutput& out, std::size_t first_output, SamplerScratch& scratch,
                    Accepted& accepted) const {
    Sequence& sequence = *planned.sequence;
    std::uint32_t position = planned.first_output + 1;  // of the token that the logits choose or score
    std::size_t output = first_output;
    if (!sequence.needs_logits()) {
        for (; output < first_output + planned.n_outputs; ++output) sequence.hidden.add(sequence.request.output, out.hidden_of(output));
        if (sequence.n_pending() == planned.n_new) accepted.embedding = sequence.hidden.result();
        return;
    }
    for (; output < first_output + planned.n_outputs && position < sequence.tokens.size(); ++output, ++position) {
        if (!sequence.request.score_prompt_from) continue;
        accepted.prompt_scores.push_back(
            logprobs_of(out.logits_of(output), sequence.tokens[position], sequence.request.n_logprobs.value_or(0)));
    }
    if (output == first_output + planned.n_outputs) return;  // tokens are still to come before it chooses
    for (std::size_t n_right = 0;; ++n_right, ++output, ++position) {
        const std::span<const float> logits = out.logits_of(output);
        auto token = sequence.sampler.forced_token();
        if (!token) token = sequence.sampler.sample(logits, position, scratch);
        if (!token) {
            accepted.error = sequence.sampler.why_none(n_vocab_, position);
            break;
        }
        accepted.tokens.push_back({.id = *token, .logprobs = {}});
        if (const auto n = sequence.request.n_logprobs) {
            accepted.tokens.back().logprobs = logprobs_of(logits, *token, *n, sequence.request.probed_tokens);
        }
        if (n_right == planned.drafts.size() || planned.drafts[n_right] != *token) break;
        sequence.sampler.accept(*token);
    }
    // The scheduler moves the sequence on.
    const std::size_t n_taken = accepted.tokens.size() - (accepted.error || accepted.tokens.empty() ? 0 : 1);
    sequence.sampler.rollback(n_taken);
}

void Engine::Inbox::put(std::unique_ptr<Sequence> sequence) {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(sequence));
}

void Engine::Inbox::drain_into(Scheduler& scheduler) {
    {
        const std::lock_guard lock(mutex_);
        drained_.swap(arrived_);
    }
    for (auto& sequence : drained_) scheduler.add(std::move(sequence));
    drained_.clear();
}

std::size_t Engine::Inbox::size() {
    const std::lock_guard lock(mutex_);
    return arrived_.size();
}

}  // namespace rafter::engine
