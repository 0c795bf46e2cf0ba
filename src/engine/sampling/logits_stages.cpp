// Each token is changed on its own, so the order in which a stage visits them cannot change a bit.
#include "engine/sampling/logits_stages.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace rafter::engine {

void NoEarlyEnd::apply(std::span<float> logits) const {
    if (n_answer_ >= min_tokens_) return;
    for (const TokenId token : end_tokens_) {
        // A request's end tokens come from a tokenizer, whose vocabulary may be another than the logits'.
        const auto i = static_cast<std::size_t>(token);
        if (i < logits.size()) logits[i] = -std::numeric_limits<float>::infinity();
    }
}

void NoEarlyEnd::rollback(std::size_t n) {
    RAFTER_CHECK(n <= n_answer_, "rollback of {} tokens after {}", n, n_answer_);
    n_answer_ -= n;
}

void LogitBias::apply(std::span<float> logits) const {
    for (const auto& [token, bias] : bias_) logits[static_cast<std::size_t>(token)] += bias;
}

Penalties::Penalties(Strengths strengths, std::span<const TokenId> prompt, std::size_t window)
    : strengths_(strengths), window_(window), n_prompt_(prompt.size()), tokens_(prompt.begin(), prompt.end()) {
    for (std::size_t i = n_prompt_ - std::min(window_, n_prompt_); i < n_prompt_; ++i) enter(i);
}

// Prompt tokens count for the repeat penalty alone: the other two look at the answer only.
void Penalties::enter(std::size_t position) {
    if (!counts(position)) return;
    Count& count = seen_[tokens_[position]];
    ++(position < n_prompt_ ? count.n_prompt : count.n_answer);
}

void Penalties::leave(std::size_t position) {
    if (!counts(position)) return;
    const auto it = seen_.find(tokens_[position]);
    --(position < n_prompt_ ? it->second.n_prompt : it->second.n_answer);
    if (it->second.n_prompt == 0 && it->second.n_answer == 0) seen_.erase(it);
}

void Penalties::apply(std::span<float> logits) const {
    for (const auto& [token, count] : seen_) {
        float& logit = logits[static_cast<std::size_t>(token)];
        logit = logit > 0.0F ? logit / strengths_.repeat : logit * strengths_.repeat;
        if (count.n_answer == 0) continue;
        logit -= strengths_.frequency * static_cast<float>(count.n_answer) + strengths_.presence;
    }
}

void Penalties::accept(TokenId token) {
    tokens_.push_back(token);
    enter(tokens_.size() - 1);
    if (tokens_.size() > window_) leave(tokens_.size() - 1 - window_);
}

void Penalties::rollback(std::size_t n) {
    RAFTER_CHECK(n <= tokens_.size() - n_prompt_, "rollback of {} tokens after {}", n, tokens_.size() - n_prompt_);
    for (; n > 0; --n) {
        leave(tokens_.size() - 1);
        tokens_.pop_back();
        if (tokens_.size() >= window_) enter(tokens_.size() - window_);
    }
}

std::vector<LogitsStage> make_stages(const Request& request) {
    const SamplingOptions& options = request.sampling;
    std::vector<LogitsStage> stages;
    if (request.min_tokens > 0 && !request.end_tokens.empty()) stages.emplace_back(NoEarlyEnd(request.end_tokens, request.min_tokens));
    if (!options.logit_bias.empty()) stages.emplace_back(LogitBias(options.logit_bias));
    if (options.repeat_penalty != 1.0 || options.frequency_penalty != 0.0 || options.presence_penalty != 0.0) {
        const Penalties::Strengths strengths{.repeat = static_cast<float>(options.repeat_penalty),
                                             .frequency = static_cast<float>(options.frequency_penalty),
                                             .presence = static_cast<float>(options.presence_penalty)};
        const std::size_t window = options.repeat_last_n > 0 ? options.repeat_last_n : Penalties::kWholeText;
        stages.emplace_back(Penalties(strengths, request.prompt, window));
    }
    return stages;
}

}  // namespace rafter::engine
