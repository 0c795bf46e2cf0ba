// The tokens of decoding sequences are counted by one clock, which each step moves on for all of them; a sequence ends at a time of it.
#include "engine/measure/forecast.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"
#include "engine/chunk.h"

namespace rafter::engine {
namespace {

constexpr std::uint32_t kMaxSteps = 200'000;  // played through; what comes later counts as then
constexpr std::size_t kMaxItems = 4096;       // that still let others come
constexpr double kGoldenRatio = 0.6180339887498949;
constexpr double kNever = std::numeric_limits<double>::infinity();

// Spread evenly over 0 to 1: not all answers are of the average length.
double quantile_of(std::size_t i) {
    const double x = 0.5 + kGoldenRatio * static_cast<double>(i);
    return x - std::floor(x);
}

}  // namespace

std::string_view Forecast::bound() const {
    if (queue_seconds > std::max(memory_seconds, compute_seconds)) return "queue";
    return memory_seconds > compute_seconds ? "memory" : "compute";
}

Forecaster::Forecaster(const SchedulerOptions& options)
    : limits_(options.limits),
      context_(options.context),
      block_size_(options.block_size),
      n_sequences_(options.n_sequences > 0 ? options.n_sequences : options.limits.n_outputs),
      target_itl_seconds_(options.target_itl_seconds) {}

void Forecaster::begin(const Question& question) {
    const SchedulerOutlook& outlook = question.outlook;
    question_ = &question;
    coming_ = question.coming.expected(question.now);
    n_coming_ = 0.5;  // on average, the next one is under way for half of its time
    cost_ = &outlook.cost;
    of_tokens_.assign(limits_.n_tokens + 1, {});
    of_outputs_.assign(limits_.n_outputs + 1, -1.0);
    host_seconds_ = outlook.host_seconds;
    drafts_ = outlook.drafts_per_token;
    tokens_a_step_ = 1.0 + outlook.accepted_per_token;
    answer_tokens_ = outlook.answer_tokens;
    now_ = question.now;
    clock_ = n_past_ = 0.0;
    n_asked_left_ = 0;
    has_first_ = has_started_ = false;
    items_.clear();
    waiting_.clear();
    prompts_.clear();
    decoding_.clear();
    n_free_blocks_ = outlook.n_blocks;
    for (const SequenceOutlook& sequence : outlook.running) add_running(question, sequence);
    for (const SequenceOutlook& sequence : outlook.waiting) {
        Item item{.n_known = sequence.n_tokens, .since = outlook.at};
        if (const auto* const prompt = question.prompts.find(sequence.id)) {
            item.number = prompt->number;
            item.prefix = prompt->expected;
        }
        add_waiting(item, sequence.max_tokens, sequence.n_tokens - sequence.n_prompt, question);
    }
    for (const WaitingSequence& sequence : question.line) {
        add_waiting({.number = sequence.prompt.number,
                     .n_known = sequence.n_prompt,
                     .prefix = sequence.prompt.expected,
                     .since = sequence.since,
                     .asked = sequence.asked},
                    sequence.max_tokens, 0, question);
        n_asked_left_ += sequence.asked ? 1 : 0;
    }
    find_providers();
    n_here_ = items_.size();
    // An engine with nothing to do begins with the first that comes.
    time_ = outlook.at;
    if (outlook.running.empty() && outlook.waiting.empty()) {
        time_ = now_;
        for (const WaitingSequence& sequence : question.line) time_ = std::min(time_, sequence.since);
    }
}

void Forecaster::add_running(const Question& question, const SequenceOutlook& sequence) {
    const std::uint32_t n_generated = sequence.n_tokens - sequence.n_prompt;
    const std::size_t i = items_.size();
    Item item{.n_known = sequence.n_tokens, .n_computed = sequence.n_computed, .provider = i, .started = question.outlook.at};
    if (const auto* const prompt = question.prompts.find(sequence.id)) item.number = prompt->number;
    const std::uint32_t n_answer = question.answers.expect(n_generated, sequence.max_tokens, quantile_of(i));
    item.n_left = n_answer - std::min(n_answer, n_generated);
    item.n_positions = expected_positions(sequence.n_tokens, n_generated, sequence.max_tokens, answer_tokens_, context_);
    item.n_blocks = blocks_for(item.n_positions) - std::min(blocks_for(item.n_positions), sequence.n_reused / block_size_);
    n_free_blocks_ -= item.n_blocks;
    if (item.n_known - item.n_computed > 1 || n_generated == 0) {
        prompts_.push_back(i);
    } else {
        n_past_ += item.n_computed;
        decoding_.push_back({.clock = std::max(1.0, static_cast<double>(item.n_left)), .item = i});
        std::ranges::push_heap(decoding_, std::greater<>());
        item.n_computed = item.n_known;
    }
    items_.push_back(item);
}

void Forecaster::add_waiting(Item item, std::uint32_t max_tokens, std::uint32_t n_generated, const Question& question) {
    const std::size_t i = items_.size();
    const std::uint32_t n_answer = item.asked ? max_tokens : question.answers.expect(n_generated, max_tokens, quantile_of(i));
    item.n_left = n_answer - std::min(n_answer, n_generated);
    item.n_positions = expected_positions(item.n_known, n_generated, max_tokens, answer_tokens_, context_);
    item.provider = i;
    items_.push_back(item);
    waiting_.push_back(i);
}

// Only of those that are here: a prefix whose provider has ended is in the cache.
void Forecaster::find_providers() {
    by_number_.clear();
    for (std::size_t i = 0; i < items_.size(); ++i) by_number_.emplace_back(items_[i].number, i);
    std::ranges::sort(by_number_);
    for (const std::size_t i : waiting_) {
        const std::uint64_t provider = items_[i].prefix.provider;
        if (provider == 0) continue;
        const auto at = std::ranges::lower_bound(by_number_, std::pair{provider, std::size_t{0}});
        if (at != by_number_.end() && at->first == provider) items_[i].provider = at->second;
    }
}

// As Admission does.
bool Forecaster::waits_for_prefix(const Item& item) const {
    const Item& provider = items_[item.provider];
    if (&provider == &item || provider.started < 0.0 || provider.ended || provider.n_computed >= provider.n_known) return false;
    return item.prefix.n_tokens >= provider.n_computed + block_size_;
}

void Forecaster::admit() {
    for (std::size_t k = 0; k < waiting_.size() && prompts_.size() + decoding_.size() < n_sequences_;) {
        const std::size_t i = waiting_[k];
        Item& item = items_[i];
        if (item.since > time_ || waits_for_prefix(item)) {
            ++k;  // whoever is behind it may go on
            continue;
        }
        const Item& provider = items_[item.provider];
        const bool is_cached = item.provider == i || provider.started >= 0.0;
        if (is_cached) item.n_computed = std::min(item.prefix.n_tokens, item.n_known - 1);
        const std::uint32_t n_blocks = blocks_for(item.n_positions);
        item.n_blocks = n_blocks - std::min(n_blocks, item.n_computed / block_size_);
        if (item.n_blocks > n_free_blocks_ && prompts_.size() + decoding_.size() > 0) return;
        n_free_blocks_ -= item.n_blocks;
        item.started = time_;
        if (item.asked && !has_started_) {
            has_started_ = true;
            first_asked_ = i;
        }
        prompts_.insert(std::ranges::upper_bound(prompts_, i), i);
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(k));
    }
}

// As StepCost says, with each look-up into its tables done once a forecast.
double Forecaster::seconds_of(const StepCost::Sum& sum) const {
    if (sum.n_tokens >= of_tokens_.size() || sum.n_outputs >= of_outputs_.size()) return cost_->seconds(sum);
    OfTokens& of_tokens = of_tokens_[sum.n_tokens];
    if (of_tokens.seconds < 0.0) {
        of_tokens = {.seconds = cost_->seconds(StepCost::Sum{.n_tokens = sum.n_tokens}), .correction = cost_->correction(sum.n_tokens)};
    }
    double& of_outputs = of_outputs_[sum.n_outputs];
    if (of_outputs < 0.0) {
        const double both = cost_->seconds(StepCost::Sum{.n_tokens = sum.n_tokens, .n_outputs = sum.n_outputs});
        of_outputs = std::max(0.0, (both - of_tokens.seconds) / of_tokens.correction);
    }
    return of_tokens.seconds + of_tokens.correction * (of_outputs + sum.attention_seconds);
}

// Of a step: its decoding sequences.
StepCost::Sum Forecaster::decoding() const {
    StepCost::Sum sum;
    if (decoding_.empty()) return sum;
    cost_->add(sum, {.n_new = 1, .n_past = static_cast<std::uint32_t>(n_past_), .n_outputs = 1});
    const auto n_rows = static_cast<std::uint32_t>(std::lround(static_cast<double>(decoding_.size()) * (1.0 + drafts_)));
    sum.n_tokens = sum.n_outputs = n_rows;
    return sum;
}

std::uint32_t Forecaster::chunk_of(const Item& item, const StepCost::Sum& sum, std::uint32_t n_of_prompts) const {
    const std::uint32_t n_left = item.n_known - item.n_computed;
    std::uint32_t n_max = std::min(n_left, limits_.n_tokens - std::min(limits_.n_tokens, sum.n_tokens));
    if (sum.n_outputs >= limits_.n_outputs && n_max == n_left) --n_max;
    if (decoding_.empty() || target_itl_seconds_ <= 0.0) return n_max;
    return largest_chunk_within(n_max, n_of_prompts, [&](std::uint32_t n) {
        StepCost::Sum with = sum;
        cost_->add(with, {.n_new = n, .n_past = item.n_computed, .n_outputs = n == n_left ? 1U : 0U});
        return seconds_of(with) <= target_itl_seconds_;
    });
}

void Forecaster::advance(double seconds, double n_steps, Forecast& forecast) {
    const double before = std::max(time_, now_);
    time_ += seconds + n_steps * host_seconds_;
    clock_ += n_steps * tokens_a_step_;
    n_past_ += n_steps * tokens_a_step_ * static_cast<double>(decoding_.size());
    ++forecast.n_steps;
    if (time_ > before) let_come(time_ - before);
}

double Forecaster::coming_per_second() const {
    if (n_here_ >= coming_.n_clients || items_.size() > kMaxItems) return 0.0;
    return coming_.per_second_and_client * static_cast<double>(coming_.n_clients - n_here_);
}

// Those who come in so many seconds: behind all who are here.
void Forecaster::let_come(double seconds) {
    while (seconds > 0.0) {
        const double per_second = coming_per_second();
        const double until_next = per_second > 0.0 ? (1.0 - n_coming_) / per_second : kNever;
        if (until_next > seconds) {
            n_coming_ += per_second * seconds;
            return;
        }
        seconds -= until_next;
        n_coming_ = 0.0;
        ++n_here_;
        add_waiting({.n_known = std::max(1U, coming_.n_prompt), .prefix = {.n_tokens = coming_.n_cached}, .since = time_ - seconds},
                    coming_.max_tokens, 0, *question_);
    }
}

void Forecaster::take_step(Forecast& forecast) {
    StepCost::Sum sum = decoding();
    std::uint32_t n_of_prompts = 0;
    std::size_t n_finished = 0;  // prompts, moved to the front
    for (std::size_t k = 0; k < prompts_.size(); ++k) {
        Item& item = items_[prompts_[k]];
        const std::uint32_t n = chunk_of(item, sum, n_of_prompts);
        if (n == 0) continue;
        const bool is_last = item.n_computed + n == item.n_known;
        cost_->add(sum, {.n_new = n, .n_past = item.n_computed, .n_outputs = is_last ? 1U : 0U});
        item.n_computed += n;
        n_of_prompts += n;
        if (is_last) {
            std::rotate(prompts_.begin() + static_cast<std::ptrdiff_t>(n_finished), prompts_.begin() + static_cast<std::ptrdiff_t>(k),
                        prompts_.begin() + static_cast<std::ptrdiff_t>(k) + 1);
            ++n_finished;
        }
    }
    const double seconds = seconds_of(sum);
    if (has_started_ && !has_first_) {
        const StepCost::Sum reads{.n_tokens = 1, .n_outputs = 1, .attention_seconds = sum.attention_seconds};
        const double memory_seconds = std::min(seconds, seconds_of(reads));
        forecast.memory_seconds += memory_seconds;
        forecast.compute_seconds += seconds - memory_seconds;
    }
    advance(seconds, 1.0, forecast);
    time_ = std::max(time_, now_);  // the step that is being computed has not ended yet
    end_decoded(forecast);
    for (std::size_t k = 0; k < n_finished; ++k) finish_prompt(prompts_[k], forecast);
    prompts_.erase(prompts_.begin(), prompts_.begin() + static_cast<std::ptrdiff_t>(n_finished));
}

// All sequences decode until one ends. The price is linear in the tokens that they look back at: that of the middle is the mean.
void Forecaster::take_stretch(Forecast& forecast) {
    const double n_steps = steps_until_change();
    const double n_past = n_past_;
    n_past_ += 0.5 * (n_steps - 1.0) * tokens_a_step_ * static_cast<double>(decoding_.size());
    const double seconds = n_steps * seconds_of(decoding());
    n_past_ = n_past;
    advance(seconds, n_steps, forecast);
    end_decoded(forecast);
}

// Until one ends or the next one comes.
double Forecaster::steps_until_change() const {
    double n = std::ceil((decoding_.front().clock - clock_) / tokens_a_step_);
    if (const double per_second = coming_per_second(); per_second > 0.0) {
        n = std::min(n, std::ceil((1.0 - n_coming_) / (per_second * (seconds_of(decoding()) + host_seconds_))));
    }
    return std::max(1.0, n);
}

void Forecaster::finish_prompt(std::size_t i, Forecast& forecast) {
    Item& item = items_[i];
    if (item.asked && !has_first_) {
        has_first_ = true;
        forecast.first_token_seconds = time_ - now_;
        forecast.queue_seconds = std::max(0.0, items_[first_asked_].started - now_);
    }
    item.n_left -= std::min(item.n_left, 1U);
    if (item.n_left == 0) {
        end(i, forecast);
        return;
    }
    n_past_ += item.n_known;
    decoding_.push_back({.clock = clock_ + item.n_left, .item = i});
    std::ranges::push_heap(decoding_, std::greater<>());
}

void Forecaster::end_decoded(Forecast& forecast) {
    while (!decoding_.empty() && decoding_.front().clock <= clock_ + 1e-9) {
        const std::size_t i = decoding_.front().item;
        std::ranges::pop_heap(decoding_, std::greater<>());
        decoding_.pop_back();
        n_past_ = std::max(0.0, n_past_ - items_[i].n_known - items_[i].n_left);
        end(i, forecast);
    }
}

void Forecaster::end(std::size_t i, Forecast& forecast) {
    items_[i].ended = true;
    --n_here_;
    n_free_blocks_ += items_[i].n_blocks;
    if (!items_[i].asked) return;
    --n_asked_left_;
    forecast.last_token_seconds = time_ - now_;
}

Forecast Forecaster::forecast(const Question& question) {
    RAFTER_CHECK(question.outlook.cost.known(), "a forecast without prices");
    Forecast forecast;
    begin(question);
    while (n_asked_left_ > 0 && forecast.n_steps < kMaxSteps) {
        admit();
        if (prompts_.empty() && decoding_.empty()) {
            // All who wait come later.
            double next = kNever;
            for (const std::size_t i : waiting_) next = std::min(next, items_[i].since);
            time_ = std::max(time_, next);
        } else if (prompts_.empty() && time_ >= now_) {
            take_stretch(forecast);
        } else {
            take_step(forecast);
        }
    }
    if (!has_first_) forecast.first_token_seconds = forecast.queue_seconds = time_ - now_;
    if (n_asked_left_ > 0) forecast.last_token_seconds = time_ - now_;
    return forecast;
}

}  // namespace rafter::engine
