// Decoding sequences come first in a step, so that a long prompt beside them costs them the least; what is left of the budget goes to
// prompts in order.
#include "engine/scheduler.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/chunk.h"
#include "engine/current_error.h"
#include "engine/offload/kv_disk.h"
#include "report/units.h"

namespace rafter::engine {
namespace {

constexpr double kSecondsPerPriority = 30.0;
constexpr double kNewAnswerWeight = 0.1;  // in the average length of answers

kv::BlockCacheOptions cache_options(const SchedulerOptions& options) {
    kv::BlockCacheOptions cache{
        .block_size = options.block_size, .n_blocks = options.n_blocks, .windows = options.windows, .share = options.prefix_cache};
    if (cache.windows.empty()) cache.windows.assign(cache.n_blocks.size(), 0);
    if (options.cost.known()) {
        cache.recompute_seconds = [cost = options.cost, n = options.block_size](std::uint32_t position) {
            return cost.prefill_seconds(n, position);
        };
    }
    if (options.kv_disk != nullptr) cache.before_eviction = [disk = options.kv_disk](const kv::EvictedBlock& chain) { disk->save(chain); };
    return cache;
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options)
    : options_(std::move(options)),
      cache_(cache_options(options_)),
      admission_(cache_, {.context = options_.context, .step_tokens = options_.limits.n_tokens}),
      speculator_(options_.speculation) {
    RAFTER_CHECK(options_.limits.n_tokens > 0 && options_.limits.n_outputs > 0 && options_.context > 0, "limits of 0");
    if (options_.n_sequences == 0) options_.n_sequences = options_.limits.n_outputs;
}

double Scheduler::now() const {
    if (options_.clock) return options_.clock();
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
    Sequence& added = *sequence;
    added.order = added.lined_up() - kSecondsPerPriority * added.request.priority;
    if (added.request.mask && !added.request.mask->decided()) {
        not_ready_.push_back(std::move(sequence));
    } else {
        insert_waiting(std::move(sequence));
    }
    if (const auto deadline = added.deadline()) deadlines_.emplace(*deadline, &added);
    added.stream->sequence = &added;
    if (added.stream->cancelled()) cancelled_early_.push_back(&added);
}

// Requests whose masks are decided since take their places in the line, or end.
void Scheduler::line_up_decided() {
    for (auto& sequence : not_ready_) {
        if (sequence->ended || !sequence->request.mask->decided()) continue;
        if (const auto mask = sequence->request.mask->mask()) {
            insert_waiting(std::move(sequence));
        } else {
            end(*sequence, {.reason = FinishReason::kError, .error = mask.error()});
        }
    }
    std::erase(not_ready_, nullptr);  // those that ended go with the others
}

// The mask of an admitted request.
Result<void> Scheduler::start_mask(Sequence& sequence) {
    if (!sequence.request.mask || sequence.sampler.has_mask()) return {};
    RAFTER_TRY(auto mask, sequence.request.mask->mask());
    try {
        sequence.sampler.set_mask(std::move(mask), sequence.request);
    } catch (...) {
        return current_error();
    }
    return {};
}

std::optional<double> Scheduler::seconds_to_deadline() const {
    std::optional<double> least;
    for (const auto& sequence : not_ready_) {
        const auto deadline = sequence->deadline();
        if (!deadline) continue;
        const double left = *deadline - now();
        least = std::min(least.value_or(left), left);
    }
    return least;
}

void Scheduler::insert_waiting(std::unique_ptr<Sequence> sequence) {
    const auto behind = std::upper_bound(waiting_.begin(), waiting_.end(), sequence->order,
                                         [](double order, const auto& other) { return order < other->order; });
    sequence->queued = work_of(*sequence);
    waiting_work_ += sequence->queued;
    waiting_.insert(behind, std::move(sequence));
}

Plan Scheduler::schedule() {
    updates_.clear();
    Step step{.n_tokens = options_.limits.n_tokens, .n_outputs = options_.limits.n_outputs, .start = now()};
    end_overdue(step.start);
    line_up_decided();
    admit_waiting();
    step.plan.sequences.reserve(running_.size());
    plan_decoding(step);
    if (speculator_.on()) grant_drafts(step);
    plan_prompts(step);
    remove_ended();
    if (options_.prefix_cache) mark_shared(step.plan);
    if (!step.plan.sequences.empty()) step.plan.copies = std::exchange(copies_, {});
    return std::move(step.plan);
}

// Sequences that share a prefix begin with the same blocks: each is held against the one before it that has its first block.
void Scheduler::mark_shared(Plan& plan) {
    if (plan.sequences.size() < 2) return;
    // Blocks that a window left behind have no number: only the group that keeps every position tells.
    const auto whole = std::ranges::find(options_.windows, 0U);
    if (whole == options_.windows.end()) return;
    const auto group = static_cast<std::size_t>(whole - options_.windows.begin());
    const auto table_of = [&](std::size_t i) -> const std::vector<kv::BlockId>& {
        return plan.sequences[i].sequence->blocks->tables()[group];
    };
    by_first_block_.clear();
    for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
        if (plan.sequences[i].sequence->n_computed >= options_.block_size) by_first_block_.emplace_back(table_of(i).front(), i);
    }
    std::ranges::sort(by_first_block_);
    for (std::size_t at = 1; at < by_first_block_.size(); ++at) {
        if (by_first_block_[at].first != by_first_block_[at - 1].first) continue;
        PlannedSequence& planned = plan.sequences[by_first_block_[at].second];
        const auto& own = table_of(by_first_block_[at].second);
        const auto& other = table_of(by_first_block_[at - 1].second);
        // Equal blocks are a prefix: a block is shared only behind shared ones.
        std::size_t n_alike = 1;
        for (std::size_t n_beyond = std::min(own.size(), other.size()) + 1; n_beyond - n_alike > 1;) {
            const std::size_t middle = (n_alike + n_beyond) / 2;
            (own[middle - 1] == other[middle - 1] ? n_alike : n_beyond) = middle;
        }
        planned.n_shared = std::min(planned.sequence->n_computed, static_cast<std::uint32_t>(n_alike) * options_.block_size);
    }
}

void Scheduler::plan_decoding(Step& step) {
    for (const auto& sequence : running_) {
        if (is_active(*sequence) && sequence->n_pending() == 1) plan_one(*sequence, step);
    }
}

void Scheduler::plan_prompts(Step& step) {
    step.keeps_target = options_.target_itl_seconds > 0.0 && !step.plan.sequences.empty() && options_.cost.known();
    for (const auto& sequence : running_) {
        if (!is_active(*sequence) || sequence->n_pending() == 1) continue;
        step.n_of_prompts += plan_one(*sequence, step);
    }
}

// Returns how many of its tokens the step computes.
std::uint32_t Scheduler::plan_one(Sequence& sequence, Step& step) {
    if (sequence.may_restore && restore(sequence, step)) return 0;
    const std::uint32_t n_new = largest_chunk(sequence, step);
    if (n_new == 0 || !make_room(sequence, sequence.n_computed + n_new, step)) return 0;
    sequence.mark_started(step.start);
    step.plan.sequences.push_back(
        {.sequence = &sequence, .n_new = n_new, .first_output = sequence.first_output(), .n_outputs = sequence.n_outputs(n_new)});
    const model::SequenceStep planned = step.plan.sequences.back().step();
    step.n_tokens -= n_new;
    step.n_outputs -= planned.n_outputs;
    options_.cost.add(step.cost, planned);
    return n_new;
}

// The next tokens of a sequence that the step's limits allow and, where it has to, that keep it within the target.
std::uint32_t Scheduler::largest_chunk(const Sequence& sequence, const Step& step) const {
    // The first rows that need logits may be far on in the chunk: up to there only tokens count.
    const std::uint64_t n_with_outputs = std::uint64_t{sequence.first_output()} - sequence.n_computed + step.n_outputs;
    std::uint32_t n_max = std::min(sequence.n_pending(), step.n_tokens);
    if (sequence.needs_logits()) n_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(n_max, n_with_outputs));
    if (!step.keeps_target) return n_max;
    const auto keeps_target = [&](std::uint32_t n) {
        StepCost::Sum sum = step.cost;
        const std::uint32_t n_outputs = sequence.needs_logits() ? sequence.n_outputs(n) : 0;
        options_.cost.add(sum, {.n_new = n, .n_past = sequence.n_computed, .n_outputs = n_outputs});
        return options_.cost.seconds(sum) + step.restore_seconds <= options_.target_itl_seconds;
    };
    return largest_chunk_within(n_max, step.n_of_prompts, keeps_target);
}

// The plan holds the decoding sequences so far. Draft tokens never make others give room.
void Scheduler::grant_drafts(Step& step) {
    StepCost::Sum prompts;
    std::uint32_t n_prompts = 0;
    for (const auto& sequence : running_) {
        if (!is_active(*sequence) || sequence->n_pending() <= 1) continue;
        prompts.n_tokens += std::min(step.n_tokens - prompts.n_tokens, sequence->n_pending());
        ++n_prompts;
    }
    const auto most = [&](const Sequence& sequence) {
        const std::uint64_t n_wanted = std::min<std::uint64_t>(options_.context, sequence.n_most_tokens());  // in all
        const std::uint64_t n = sequence.tokens.size() + 1;  // after this step, draft tokens apart
        return static_cast<std::uint32_t>(n_wanted > n ? n_wanted - n : 0);
    };
    speculator_.grant(step.plan.sequences, options_.cost, prompts,
                      {.n_tokens = step.n_tokens, .n_outputs = step.n_outputs - std::min(step.n_outputs, n_prompts), .most = most});
    for (PlannedSequence& planned : step.plan.sequences) {
        Sequence& sequence = *planned.sequence;
        const std::uint32_t n_known = sequence.n_computed + planned.n_new;
        if (planned.grant.n > 0 && !cache_.grow(*sequence.blocks, n_known + planned.grant.n)) {
            planned.grant.n = std::min(planned.grant.n, sequence.blocks->n_blocks() * options_.block_size - n_known);
        }
        step.n_tokens -= planned.grant.n;
        step.n_outputs -= planned.grant.n;
        step.cost.n_tokens += planned.grant.n;
        step.cost.n_outputs += planned.grant.n;
    }
}

void Scheduler::draft(Plan& plan) {
    if (speculator_.on()) speculator_.draft(plan.sequences);
}

// True when more is to come, in a later step.
bool Scheduler::restore(Sequence& sequence, Step& step) {
    const double left = options_.target_itl_seconds - options_.cost.seconds(step.cost) - step.restore_seconds;
    const KvDisk::Restored done =
        options_.kv_disk->restore(cache_, *sequence.blocks,
                                  {.key = sequence.wanted_key(options_.block_size),
                                   .n_computed = sequence.n_computed,
                                   .n_tokens = static_cast<std::uint32_t>(sequence.tokens.size()),
                                   .cost = options_.cost,
                                   .budget_seconds = step.keeps_target ? left : std::numeric_limits<double>::infinity(),
                                   .copies = copies_});
    const std::uint32_t n = done.n_computed - sequence.n_computed;
    cache_.restore(sequence.prefix_end, n);
    sequence.n_computed = done.n_computed;
    if (sequence.n_preemptions == 0) sequence.n_reused += n;
    sequence.may_restore = done.more;
    step.restore_seconds += done.seconds;
    return done.more;
}

bool Scheduler::make_room(Sequence& sequence, std::uint32_t n_positions, Step& step) {
    while (!cache_.grow(*sequence.blocks, n_positions)) {
        if (Sequence* const victim = choose_victim(sequence)) {
            preempt(*victim, step);
        } else if (running_.front().get() != &sequence) {
            preempt(sequence, step);
            return false;
        } else {
            Error error{fmt::format("out of KV cache: the sequence has {} tokens and no block is free for more",
                                    report::grouped(sequence.n_computed)),
                        ErrorKind::kOutOfMemory};
            end(sequence, {.reason = FinishReason::kError, .error = std::move(error)});
            return false;
        }
    }
    return true;
}

// Of those that come after it: least seconds to compute again for each block that it frees. Where each shares all its blocks with others
// that come after it too, they free some only together: the last in order goes first.
Sequence* Scheduler::choose_victim(const Sequence& asker) const {
    Sequence* best = nullptr;
    double best_price = 0.0;
    for (std::size_t i = running_.size(); i-- > 0 && running_[i].get() != &asker;) {
        Sequence& sequence = *running_[i];
        if (sequence.ended || !sequence.blocks) continue;
        const std::uint32_t n_freed = cache_.n_held_alone(*sequence.blocks);
        const double seconds = options_.cost.known() ? options_.cost.prefill_seconds(sequence.n_computed, 0) : sequence.n_computed;
        const double price = n_freed > 0 ? seconds / n_freed : std::numeric_limits<double>::infinity();
        if (best == nullptr || price < best_price) {
            best = &sequence;
            best_price = price;
        }
    }
    return best;
}

void Scheduler::preempt(Sequence& sequence, Step& step) {
    give_back(sequence, step);
    ++counters_.preemptions;
    ++sequence.n_preemptions;
    counters_.recomputed_seconds += options_.cost.prefill_seconds(sequence.n_computed, 0);
    release(sequence);
    sequence.n_sampled_through = std::max(sequence.n_sampled_through, sequence.n_computed);
    sequence.n_computed = 0;
    some_left_ = true;
}

// The step goes on without this sequence: others may have what it was granted.
void Scheduler::give_back(const Sequence& sequence, Step& step) const {
    const auto planned = std::ranges::find(step.plan.sequences, &sequence, &PlannedSequence::sequence);
    if (planned == step.plan.sequences.end()) return;
    const std::uint32_t n_outputs = planned->n_outputs + planned->grant.n;
    step.n_tokens += planned->n_new + planned->grant.n;
    step.n_outputs += n_outputs;
    step.plan.sequences.erase(planned);
    step.cost = {};
    for (const PlannedSequence& other : step.plan.sequences) {
        options_.cost.add(step.cost, {.n_new = other.n_new, .n_past = other.sequence->n_computed, .n_outputs = other.n_outputs});
        step.cost.n_tokens += other.grant.n;
        step.cost.n_outputs += other.grant.n;
    }
}

std::span<Delivery> Scheduler::commit(const Plan& plan, std::span<Accepted> accepted) {
    RAFTER_CHECK(accepted.size() == plan.sequences.size(), "{} results for {} sequences", accepted.size(), plan.sequences.size());
    const double at = now();
    for (std::size_t i = 0; i < accepted.size(); ++i) commit_one(plan.sequences[i], accepted[i], at);
    remove_ended();
    return updates();
}

void Scheduler::commit_one(const PlannedSequence& planned, Accepted& result, double now) {
    Sequence& sequence = *planned.sequence;
    StreamUpdate& update = updates_.add(sequence.stream);
    sequence.n_computed += planned.n_new;
    if (!result.tokens.empty()) speculator_.learn(planned, static_cast<std::uint32_t>(result.tokens.size()) - 1);
    const std::uint32_t n_before = sequence.n_generated();
    try {
        for (std::size_t i = 0; i < result.tokens.size() && !update.finish; ++i) {
            if (i > 0) ++sequence.n_computed;  // the token before was a draft token, and is computed
            take_token(sequence, result.tokens[i].id, now, update);
        }
    } catch (...) {
        result.error = current_error();
        sequence.text.drop_rest();  // what failed may be missing before it
    }
    result.tokens.resize(sequence.n_generated() - n_before);
    update.tokens.swap(result.tokens);
    update.prompt_scores.swap(result.prompt_scores);
    update.embedding.swap(result.embedding);
    std::optional<Finish>& finish = update.finish;
    if (!finish && result.error) finish = Finish{.reason = FinishReason::kError, .error = *std::move(result.error)};
    if (!finish && sequence.request.max_tokens == 0 && sequence.n_pending() == 0) finish = Finish{.reason = FinishReason::kLength};
    if (finish) {
        end(sequence, *std::move(finish), update);
        return;
    }
    cache_.publish(*sequence.blocks, sequence.cache_key(options_.block_size), sequence.n_computed);
    if (planned.grant.n > 0) cache_.truncate(*sequence.blocks, sequence.n_computed);
    if (update.empty()) updates_.take_back();
}

void Scheduler::take_token(Sequence& sequence, TokenId id, double now, StreamUpdate& update) const {
    sequence.tokens.push_back(id);
    sequence.mark_token(now);
    sequence.sampler.accept(id);
    const auto& end_tokens = sequence.request.end_tokens;
    if (!sequence.request.ignore_eos && std::find(end_tokens.begin(), end_tokens.end(), id) != end_tokens.end()) {
        update.finish = Finish{.reason = FinishReason::kStop};
        return;
    }
    auto shown = sequence.text.push(id);
    update.text += shown.text;
    const bool context_full = sequence.tokens.size() >= options_.context;
    if (const char* const failure = sequence.sampler.mask_failure()) {
        update.finish = Finish{.reason = FinishReason::kError, .error = bad_input("{}", failure)};
    } else if (shown.stopped) {
        update.finish = Finish{.reason = FinishReason::kStop, .stop = shown.stop};
    } else if (sequence.sampler.mask_is_finished()) {
        update.finish = Finish{.reason = FinishReason::kStop};
    } else if (context_full || sequence.n_generated() >= sequence.request.max_tokens) {
        const bool asked_for_more = sequence.n_generated() < sequence.request.max_tokens;
        update.finish = Finish{.reason = FinishReason::kLength, .context_full = asked_for_more};
    }
}

void Scheduler::end(Sequence& sequence, Finish finish) { end(sequence, std::move(finish), updates_.add(sequence.stream)); }

void Scheduler::end(Sequence& sequence, Finish finish, StreamUpdate& update) {
    try {
        update.text += sequence.text.finish();
    } catch (const std::exception& failure) {
        finish = {.reason = FinishReason::kError, .error = error_of(failure)};
    }
    finish.times = sequence.times(now());
    const bool answered = finish.reason == FinishReason::kStop || finish.reason == FinishReason::kLength;
    if (answered && sequence.request.max_tokens > 0) {
        const double n = sequence.n_generated();
        answer_tokens_ = answer_tokens_ == 0.0 ? n : answer_tokens_ + kNewAnswerWeight * (n - answer_tokens_);
    }
    update.finish = std::move(finish);
    (sequence.blocks ? some_left_ : some_waiting_ended_) = true;
    if (sequence.blocks) release(sequence);
    if (const auto deadline = sequence.deadline()) deadlines_.erase({*deadline, &sequence});
    sequence.stream->sequence = nullptr;
    sequence.ended = true;
}

// What it computed and what its drafter knows stay for others.
void Scheduler::release(Sequence& sequence) {
    cache_.release(*sequence.blocks, sequence.cache_key(options_.block_size), sequence.n_computed);
    sequence.blocks.reset();
    if (sequence.draft_state) sequence.draft_state->end();
    sequence.draft_state.reset();
}

std::span<Delivery> Scheduler::end_all(const Finish& finish) {
    updates_.clear();
    cancelled_early_.clear();
    for (const auto& sequence : running_) end(*sequence, finish);
    for (const auto& sequence : waiting_) {
        if (!sequence->ended) end(*sequence, finish);
    }
    for (const auto& sequence : not_ready_) {
        if (!sequence->ended) end(*sequence, finish);
    }
    remove_ended();
    return updates();
}

// Those preempted wait again, where they stood in the order.
void Scheduler::remove_ended() {
    if (std::exchange(some_left_, false)) {
        for (auto& sequence : running_) {
            if (!sequence->ended && !sequence->blocks) insert_waiting(std::move(sequence));
        }
        std::erase_if(running_, [](const auto& sequence) { return !sequence || sequence->ended; });
    }
    if (std::exchange(some_waiting_ended_, false)) {
        for (const auto& sequence : waiting_) {
            if (sequence->ended) waiting_work_ -= sequence->queued;
        }
        std::erase_if(waiting_, [](const auto& sequence) { return sequence->ended; });
        std::erase_if(not_ready_, [](const auto& sequence) { return sequence->ended; });
        if (waiting_.empty()) waiting_work_ = {};  // not what rounding left
    }
}

std::unique_ptr<Sequence> Scheduler::take_waiting(std::size_t i) {
    std::unique_ptr<Sequence> taken = std::move(waiting_[i]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    waiting_work_ -= taken->queued;
    if (waiting_.empty()) waiting_work_ = {};  // not what rounding left
    return taken;
}

// Looks only at those that are cancelled or out of time, however many wait.
void Scheduler::end_overdue(double now) {
    cancellations_->take_all([&](TokenStream& stream) {
        if (stream.sequence != nullptr) end_one(*stream.sequence, FinishReason::kCancelled);
    });
    for (Sequence* const sequence : std::exchange(cancelled_early_, {})) {
        if (!sequence->ended) end_one(*sequence, FinishReason::kCancelled);
    }
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) end_one(*deadlines_.begin()->second, FinishReason::kTimeout);
    remove_ended();
    for (const auto& sequence : running_) sequence->sampler.forced().add(sequence->stream->take_forced());
}

void Scheduler::end_one(Sequence& sequence, FinishReason reason) {
    if (!sequence.blocks) ++counters_.waiting_looked_at;
    end(sequence, {.reason = reason});
}

QueuedWork Scheduler::work_of(const Sequence& sequence) const {
    const auto n_tokens = static_cast<std::uint32_t>(sequence.tokens.size());
    const std::uint32_t n_expected = admission_.expected_positions(sequence);
    const double n_more = n_expected - std::min(n_expected, n_tokens);
    const std::uint32_t n_computed = std::min(sequence.n_computed, n_tokens - 1);  // a last token is the answer's matter
    return {.prefill_seconds = options_.cost.prefill_seconds(n_tokens - 1 - n_computed, n_computed),
            .answer_tokens = n_more,
            .pairs = n_more * (n_tokens + 0.5 * n_more)};
}

// Answers go on together, as many as may: then a token takes its share of such a step.
double Scheduler::queued_seconds() const {
    if (!options_.cost.known()) return 0.0;
    QueuedWork work = waiting_work_;
    for (const auto& sequence : running_) work += work_of(*sequence);
    if (work.answer_tokens < 1.0) return std::max(0.0, work.prefill_seconds);
    const auto n_together = static_cast<std::uint32_t>(std::min<std::size_t>(options_.n_sequences, running_.size() + waiting_.size()));
    StepCost::Sum step;
    options_.cost.add(step, {.n_new = 1, .n_past = static_cast<std::uint32_t>(work.pairs / work.answer_tokens), .n_outputs = 1});
    step.n_tokens = step.n_outputs = n_together;
    step.attention_seconds *= n_together;
    return std::max(0.0, work.prefill_seconds) + work.answer_tokens * options_.cost.seconds(step) / n_together;
}

void Scheduler::admit_waiting() {
    if (waiting_.empty() || running_.size() >= options_.n_sequences) return;
    admission_.begin(running_, answer_tokens_);
    for (std::size_t i = 0; i < waiting_.size() && running_.size() < options_.n_sequences;) {
        Sequence& sequence = *waiting_[i];
        ++counters_.waiting_looked_at;
        if (admission_.waits_for_prefix(sequence)) {
            counters_.waited_for_prefix += !sequence.waited_for_prefix;
            sequence.waited_for_prefix = true;
            ++i;  // whoever is behind it may go on
            continue;
        }
        if (!admission_.fits(sequence)) {
            if (!running_.empty()) return;  // they will free some
            std::uint32_t least = ~0U;
            for (std::size_t group = 0; group < cache_.pools().size(); ++group) {
                if (cache_.options().windows[group] == 0) least = std::min(least, cache_.pools()[group].n_blocks());
            }
            Error error{fmt::format("out of KV cache: the prompt has {} tokens, but the cache has room for only {}",
                                    report::grouped(sequence.tokens.size()), report::grouped(std::uint64_t{options_.block_size} * least)),
                        ErrorKind::kOutOfMemory};
            end(sequence, {.reason = FinishReason::kError, .error = std::move(error)});
            (void)take_waiting(i);
            continue;
        }
        if (auto started = start_mask(sequence); !started) {
            end(sequence, {.reason = FinishReason::kError, .error = started.error()});
            (void)take_waiting(i);
            continue;
        }
        sequence.sampler.forced().add(sequence.stream->take_forced());
        sequence.blocks.emplace();
        const kv::Prefix prefix = cache_.attach(*sequence.blocks, sequence.wanted_key(options_.block_size), copies_);
        sequence.n_computed = prefix.n_tokens;
        sequence.prefix_end = prefix.end;
        sequence.may_restore = options_.kv_disk != nullptr && prefix.end != kv::PrefixEnd::kComplete;
        if (sequence.n_preemptions == 0) sequence.n_reused = prefix.n_tokens;
        admission_.admit(sequence);
        const auto behind = std::upper_bound(running_.begin(), running_.end(), sequence.order,
                                             [](double order, const auto& other) { return order < other->order; });
        running_.insert(behind, take_waiting(i));
    }
}

// The group that sees everything, or the last.
std::size_t Scheduler::main_group() const {
    std::size_t group = 0;
    while (group + 1 < cache_.pools().size() && cache_.options().windows[group] != 0) ++group;
    return group;
}

void Scheduler::describe(SchedulerOutlook& outlook) const {
    const auto describe_one = [](const Sequence& sequence) -> SequenceOutlook {
        return {.id = sequence.stream.get(),
                .n_prompt = sequence.n_prompt,
                .n_tokens = static_cast<std::uint32_t>(sequence.tokens.size()),
                .n_computed = sequence.n_computed,
                .n_reused = sequence.n_reused,
                .max_tokens = sequence.request.max_tokens};
    };
    outlook.at = now();
    outlook.running.clear();
    for (const auto& sequence : running_) outlook.running.push_back(describe_one(*sequence));
    outlook.waiting.clear();
    for (const auto& sequence : waiting_) outlook.waiting.push_back(describe_one(*sequence));
    outlook.n_blocks = cache_.pools()[main_group()].n_blocks();
    outlook.answer_tokens = answer_tokens_;
    outlook.cost = options_.cost;
}

CacheUse Scheduler::cache_use() const {
    const std::size_t group = main_group();
    const kv::BlockPool& pool = cache_.pools()[group];
    CacheUse use{.n_blocks = pool.n_blocks(), .n_used = pool.n_used() - cache_.n_unused(group), .n_kept = cache_.n_unused(group)};
    for (const auto& sequence : running_) {
        const std::uint64_t reserved = std::uint64_t{sequence->blocks->n_blocks()} * options_.block_size;
        ++use.n_sequences;
        use.tokens += sequence->n_computed;
        use.wasted_positions += reserved - sequence->n_computed;
        use.contiguous_wasted += options_.context - std::min(options_.context, sequence->n_computed);
    }
    return use;
}

void Scheduler::check() const {
    std::vector<const kv::SequenceBlocks*> held;
    for (const auto& sequence : running_) held.push_back(&*sequence->blocks);
    cache_.check(held);
}

}  // namespace rafter::engine
