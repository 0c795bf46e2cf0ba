// A forecast's line: those that were handed over and are in no outlook, then the queue in the order in which it gives them.
#include "server/admission/predictor.h"

#include <algorithm>
#include <span>

namespace rafter::server {
namespace {

constexpr double kSecondsPerToken = 1e-3;    // of work, where nothing has a price
constexpr std::uint32_t kDecodedWeight = 4;  // a token of an answer against one of a prompt, there
constexpr double kStepsAhead = 2.0;          // that a sequence is handed over before its slot is free

const engine::SchedulerOptions& options_of(const engine::EngineThread& thread) { return thread.options(); }

std::uint32_t n_main_blocks(const engine::SchedulerOptions& options) {
    return options.n_blocks.empty() ? 0 : *std::ranges::max_element(options.n_blocks);
}

}  // namespace

Predictor::Predictor(const engine::EngineThread& thread)
    : thread_(thread),
      block_size_(thread.options().block_size),
      forecaster_(options_of(thread)),
      prompts_(options_of(thread).prefix_cache ? n_main_blocks(options_of(thread)) : 0, block_size_) {
    outlook_.cost = options_of(thread).cost;
    outlook_.n_blocks = n_main_blocks(options_of(thread));
    outlook_.at = thread.now();
}

void Predictor::refresh() {
    if (!thread_.describe(outlook_)) return;
    const auto is_in = [](const std::vector<engine::SequenceOutlook>& all, const engine::TokenStream* stream) {
        return std::ranges::find(all, stream, &engine::SequenceOutlook::id) != all.end();
    };
    std::erase_if(on_the_way_,
                  [&](const OnTheWay& one) { return is_in(outlook_.running, one.stream) || is_in(outlook_.waiting, one.stream); });
}

std::size_t Predictor::n_ending_soon() const {
    const double n_tokens = kStepsAhead * (1.0 + outlook_.accepted_per_token);
    return static_cast<std::size_t>(std::ranges::count_if(outlook_.running, [&](const engine::SequenceOutlook& sequence) {
        const bool decodes = sequence.n_tokens == sequence.n_computed + 1;
        return decodes && sequence.n_tokens - sequence.n_prompt + n_tokens >= sequence.max_tokens;
    }));
}

std::uint32_t Predictor::add(engine::Sequence& sequence) {
    const engine::ExpectedPrefix expected = prompts_.expect(sequence.wanted_key(block_size_));
    prompts_.add(sequence.stream.get(), expected, sequence.cache_key(block_size_).first(sequence.n_prompt));
    coming_.came(thread_.now(), sequence.n_prompt, expected.n_tokens, sequence.request.max_tokens);
    return expected.n_tokens;
}

void Predictor::forget(engine::Sequence& sequence) {
    if (prompts_.find(sequence.stream.get()) != nullptr) coming_.ended(thread_.now());
    prompts_.forget(sequence.stream.get(), sequence.cache_key(block_size_).hashes);
}

void Predictor::forget(const engine::TokenStream* stream) {
    if (prompts_.find(stream) != nullptr) coming_.ended(thread_.now());
    prompts_.end(stream);
}

void Predictor::handed_over(const engine::Sequence& sequence, double now) noexcept try {
    on_the_way_.push_back({.stream = sequence.stream.get(), .waiting = waiting(sequence, now)});
} catch (const std::bad_alloc&) {}

void Predictor::ended(const engine::TokenStream* stream, const engine::Finish& finish, const GrowingText& text) noexcept {
    forget(stream);
    std::erase_if(on_the_way_, [&](const OnTheWay& one) { return one.stream == stream; });
    if (finish.times.n_generated == 0) return;
    answers_.add(finish.times.n_generated, finish.reason != engine::FinishReason::kStop);
    if (!text.complete || text.tokens.empty() || finish.reason == engine::FinishReason::kError) return;
    try {
        // The last token's keys and values are not computed.
        prompts_.add_computed(text.previous, std::span(text.tokens).first(text.tokens.size() - 1));
    } catch (const std::bad_alloc&) {  // the cache has more than is expected of it
    }
}

GrowingText Predictor::text_of(engine::Sequence& sequence) const {
    const auto hashes = sequence.cache_key(block_size_).hashes;
    const std::size_t n_full = sequence.n_prompt / block_size_;
    GrowingText text{.previous = n_full > 0 ? hashes[n_full - 1] : kv::salt_hash(sequence.request.cache_salt), .tokens = {}};
    text.tokens.assign(sequence.tokens.begin() + static_cast<std::ptrdiff_t>(n_full * block_size_), sequence.tokens.end());
    return text;
}

void GrowingText::add(const std::vector<engine::GeneratedToken>& more) noexcept try {
    for (const engine::GeneratedToken& token : more) tokens.push_back(token.id);
} catch (const std::bad_alloc&) {
    complete = false;
}

double Predictor::work_seconds(const engine::Sequence& sequence, std::size_t n_together) const {
    const auto* const prompt = prompts_.find(sequence.stream.get());
    const std::uint32_t n_cached = prompt != nullptr ? std::min(prompt->expected.n_tokens, sequence.n_prompt) : 0;
    const std::uint32_t n_answer = answers_.expect(0, sequence.request.max_tokens, 0.5);
    if (!has_prices()) return kSecondsPerToken * (sequence.n_prompt - n_cached + kDecodedWeight * n_answer);
    engine::StepCost::Sum step;
    outlook_.cost.add(step, {.n_new = 1, .n_past = sequence.n_prompt + n_answer / 2, .n_outputs = 1});
    const auto n = static_cast<std::uint32_t>(std::max<std::size_t>(1, n_together));
    step.n_tokens = step.n_outputs = n;
    step.attention_seconds *= n;
    return outlook_.cost.prefill_seconds(sequence.n_prompt - n_cached, n_cached) + n_answer * outlook_.cost.seconds(step) / n;
}

engine::WaitingSequence Predictor::waiting(const engine::Sequence& sequence, double since) const {
    const auto* const prompt = prompts_.find(sequence.stream.get());
    return {.prompt = prompt != nullptr ? *prompt : engine::RecentPrompts::Prompt{},
            .n_prompt = sequence.n_prompt,
            .max_tokens = sequence.request.max_tokens,
            .since = since};
}

void Predictor::line_up(const FairQueue& queue, double now) {
    line_.clear();
    for (const OnTheWay& one : on_the_way_) line_.push_back(one.waiting);
    for (const auto& [arrival, index] : queue.in_order()) {
        line_.push_back(waiting(*arrival->sequences[index], now));
        line_.back().asked = arrival->id == asked_;
    }
}

engine::Forecast Predictor::forecast(double now) {
    return forecaster_.forecast(
        {.outlook = outlook_, .line = line_, .prompts = prompts_, .answers = answers_, .coming = coming_, .now = now});
}

engine::Forecast Predictor::predict(const FairQueue& queue, std::uint64_t asked, double now) {
    asked_ = asked;
    line_up(queue, now);
    return forecast(now);
}

engine::Forecast Predictor::predict_next(const FairQueue& queue, std::uint32_t n_prompt, double now) {
    asked_ = 0;
    line_up(queue, now);
    line_.push_back({.prompt = {}, .n_prompt = n_prompt, .max_tokens = 1, .since = now, .asked = true});
    return forecast(now);
}

}  // namespace rafter::server
