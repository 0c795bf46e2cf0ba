// Decoding sequences come first in a step, so that a long prompt beside them costs them the least; what is left of the budget goes to
// prompts in order of arrival.
#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace rafter::engine {

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options) {
    RAFTER_CHECK(options.limits.n_tokens > 0 && options.limits.n_outputs > 0 && options.context > 0, "limits of 0");
    for (const std::uint32_t n : options.n_blocks) pools_.emplace_back(n);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }

Plan Scheduler::schedule() {
    drop_cancelled();
    admit_waiting();
    Plan plan;
    std::uint32_t n_tokens = options_.limits.n_tokens;
    std::uint32_t n_outputs = options_.limits.n_outputs;
    for (const bool decoding : {true, false}) {
        for (const auto& sequence : running_) {
            if (sequence->ended || (sequence->n_pending() == 1) != decoding) continue;
            // The first rows that need logits may be far on in the chunk: up to there only tokens count.
            const std::uint32_t n_before = std::max(sequence->outputs_from(), sequence->n_computed) - sequence->n_computed;
            const std::uint32_t n_new = std::min({sequence->n_pending(), n_tokens, n_before + n_outputs});
            if (n_new == 0) continue;
            if (!grow(*sequence, sequence->n_computed + n_new)) {
                Error error{fmt::format("out of KV cache: {} tokens are there and no block is free for more", sequence->n_computed),
                            ErrorKind::kOutOfMemory};
                end(*sequence, {}, {.reason = FinishReason::kError, .error = std::move(error)});
                continue;
            }
            sequence->mark_started();
            plan.push_back({sequence.get(), n_new, sequence->n_outputs(n_new)});
            n_tokens -= n_new;
            n_outputs -= plan.back().n_outputs;
        }
    }
    remove_ended();
    return plan;
}

void Scheduler::commit(const Plan& plan, std::span<Accepted> accepted) {
    RAFTER_CHECK(accepted.size() == plan.size(), "{} results for {} sequences", accepted.size(), plan.size());
    for (std::size_t i = 0; i < plan.size(); ++i) {
        Sequence& sequence = *plan[i].sequence;
        Accepted& result = accepted[i];
        sequence.n_computed += plan[i].n_new;
        StreamUpdate update{.prompt_scores = std::move(result.prompt_scores)};
        if (result.error) {
            end(sequence, std::move(update), {.reason = FinishReason::kError, .error = std::move(result.error)});
        } else if (result.token) {
            take_token(sequence, std::move(*result.token), update);
        } else if (sequence.request.max_tokens == 0 && sequence.n_pending() == 0) {
            end(sequence, std::move(update), {.reason = FinishReason::kLength});
        } else {
            sequence.stream->publish(std::move(update));
        }
    }
    remove_ended();
}

void Scheduler::take_token(Sequence& sequence, GeneratedToken token, StreamUpdate& update) {
    const TokenId id = token.id;
    sequence.tokens.push_back(id);
    sequence.sampler.accept(id);
    sequence.mark_token();
    update.tokens.push_back(std::move(token));

    const auto& end_tokens = sequence.request.end_tokens;
    if (!sequence.request.ignore_eos && std::find(end_tokens.begin(), end_tokens.end(), id) != end_tokens.end()) {
        return end(sequence, std::move(update), {.reason = FinishReason::kStop});
    }
    auto shown = sequence.text.push(id);
    update.text += shown.text;
    if (shown.stopped) return end(sequence, std::move(update), {.reason = FinishReason::kStop});
    const bool context_full = sequence.tokens.size() >= options_.context;
    if (context_full || sequence.n_generated() >= sequence.request.max_tokens) {
        const bool asked_for_more = sequence.n_generated() < sequence.request.max_tokens;
        return end(sequence, std::move(update), {.reason = FinishReason::kLength, .context_full = asked_for_more});
    }
    sequence.stream->publish(std::move(update));
}

void Scheduler::end(Sequence& sequence, StreamUpdate update, Finish finish) {
    update.text += sequence.text.finish();
    finish.times = sequence.times();
    update.finish = std::move(finish);
    sequence.stream->publish(std::move(update));
    if (sequence.blocks) {
        forget_finished();
        sequence.tokens.resize(sequence.n_computed);
        finished_ = Finished{std::move(sequence.tokens), *std::move(sequence.blocks)};
        sequence.blocks.reset();
    }
    sequence.ended = true;
}

void Scheduler::remove_ended() {
    std::erase_if(running_, [](const auto& sequence) { return sequence->ended; });
}

void Scheduler::drop_cancelled() {
    for (const auto& sequence : running_) {
        if (sequence->stream->cancelled()) end(*sequence, {}, {.reason = FinishReason::kCancelled});
    }
    remove_ended();
    for (const auto& sequence : waiting_) {
        if (sequence->stream->cancelled()) end(*sequence, {}, {.reason = FinishReason::kCancelled});
    }
    std::erase_if(waiting_, [](const auto& sequence) { return sequence->ended; });
}

void Scheduler::admit_waiting() {
    while (!waiting_.empty() && running_.size() < options_.limits.n_outputs) {
        Sequence& sequence = *waiting_.front();
        sequence.blocks.emplace(pools_.size(), options_.block_size);
        reuse_prefix(sequence);
        // All of the prompt or nothing: a prompt that gets stuck halfway would hold blocks for no use.
        if (!grow(sequence, sequence.n_prompt)) {
            sequence.blocks->free(pools_);
            sequence.blocks.reset();
            sequence.n_computed = sequence.n_reused = 0;
            if (!running_.empty()) return;  // they will free some
            Error error{
                fmt::format("out of KV cache: the prompt has {} tokens, and there is room for {}", sequence.n_prompt,
                            std::uint64_t{options_.block_size} * *std::min_element(options_.n_blocks.begin(), options_.n_blocks.end())),
                ErrorKind::kOutOfMemory};
            end(sequence, {}, {.reason = FinishReason::kError, .error = std::move(error)});
            waiting_.pop_front();
            continue;
        }
        running_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
}

void Scheduler::reuse_prefix(Sequence& sequence) {
    if (!finished_) return;
    const std::vector<TokenId>& have = finished_->tokens;
    const auto differs = std::mismatch(have.begin(), have.end(), sequence.tokens.begin(), sequence.tokens.end()).first;
    // Positions whose logits are wanted are computed again.
    const std::uint32_t n_same = std::min(static_cast<std::uint32_t>(differs - have.begin()), sequence.outputs_from());
    if (n_same == 0) return;
    sequence.blocks = std::move(finished_->blocks);
    finished_.reset();
    sequence.blocks->truncate(pools_, n_same);
    sequence.n_computed = sequence.n_reused = n_same;
}

bool Scheduler::grow(Sequence& sequence, std::uint32_t n_positions) {
    if (sequence.blocks->grow(pools_, n_positions)) return true;
    forget_finished();
    return sequence.blocks->grow(pools_, n_positions);
}

void Scheduler::forget_finished() {
    if (finished_) finished_->blocks.free(pools_);
    finished_.reset();
}

}  // namespace rafter::engine
