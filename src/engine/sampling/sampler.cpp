// The cuts say which tokens may be drawn, the race says which one is.
#include "engine/sampling/sampler.h"

#include <algorithm>
#include <cmath>

#include "engine/sampling/cut.h"

namespace rafter::engine {

backend::RowScratch& SamplerScratch::rows(std::size_t n) {
    if (n > n_vocab_) {
        own_.resize(backend::RowScratch::size_bytes(n) / sizeof(double));
        rows_ = backend::RowScratch::in(reinterpret_cast<std::byte*>(own_.data()), n);
        n_vocab_ = n;
    }
    return rows_;
}

std::optional<TokenId> argmax(std::span<const float> logits, const SamplingKernels& kernels) {
    const std::size_t best = kernels.largest(logits.data(), logits.size());
    if (best >= logits.size()) return std::nullopt;
    return static_cast<TokenId>(best);
}

std::optional<TokenId> draw(std::span<const float> logits, const SamplingOptions& options, const TokenNoise& noise,
                            SamplerScratch& scratch) {
    const SamplingKernels& kernels = scratch.kernels();
    const auto best = argmax(logits, kernels);
    if (!best) return std::nullopt;
    const float max = logits[static_cast<std::size_t>(*best)];
    if (std::isinf(max)) return std::nullopt;
    const Weight weight{max, options.temperature};
    Race race(weight, noise);
    const bool cut_top_k = options.top_k > 0 && options.top_k < logits.size();
    const bool cut = cut_top_k || options.top_p < 1.0 || options.min_p > 0.0;
    if (!cut && options.typical_p >= 1.0) {
        race.enter(logits, *best, kernels);
        return race.winner();
    }
    TokenList& list = scratch.rows(logits.size()).list;
    std::vector<Candidate>& candidates = scratch.candidates;
    EarlyRace early{.noise = noise, .likeliest = *best};
    if (cut_top_k) {
        keep_top_k(logits, options, weight, kernels, list, candidates);
    } else if (!cut) {
        candidates.clear();
        for (std::size_t i = 0; i < logits.size(); ++i) {
            if (weight(logits[i]) > 0.0) candidates.push_back({logits[i], static_cast<TokenId>(i)});
        }
    } else if (!keep_likely(logits, options, weight, kernels, list, candidates, options.typical_p >= 1.0 ? &early : nullptr)) {
        keep_likely_exactly(logits, options, weight, candidates);
    } else if (early.winner) {
        return early.winner;
    } else if (options.typical_p >= 1.0) {
        race.enter(list, *best, kernels);
        return race.winner();
    } else {
        candidates.clear();
        for (std::size_t i = 0; i < list.n; ++i) candidates.push_back({list.logits[i], list.tokens[i]});
        std::sort(candidates.begin(), candidates.end(), likelier);
    }
    if (options.typical_p < 1.0) keep_typical(options.typical_p, weight, candidates);
    race.enter(candidates);
    return race.winner();
}

Sampler::Sampler(const Request& request, const text::Tokenizer* tokenizer)
    : options_(request.sampling), stages_(make_stages(request)), forced_(request.forced, tokenizer) {}

void Sampler::set_mask(std::shared_ptr<const CompiledMask> mask, const Request& request) {
    mask_ = std::make_unique<MaskStage>(std::move(mask), request.ignore_eos ? std::vector<TokenId>() : request.end_tokens);
}

std::optional<TokenId> Sampler::sample(std::span<const float> logits, std::uint32_t position, SamplerScratch& scratch) const {
    if (mask_ || !stages_.empty()) {
        scratch.logits = scratch.rows(logits.size()).logits.first(logits.size());
        std::ranges::copy(logits, scratch.logits.begin());
        if (mask_) mask_->apply(scratch.logits, scratch.mask_words);
        for (const LogitsStage& stage : stages_) {
            std::visit([&](const auto& s) { s.apply(scratch.logits); }, stage);
        }
        logits = scratch.logits;
    }
    if (options_.temperature > 0.0) return draw(logits, options_, TokenNoise(options_.seed, position), scratch);
    const auto best = argmax(logits, scratch.kernels());
    return best && std::isfinite(logits[static_cast<std::size_t>(*best)]) ? best : std::nullopt;
}

Error Sampler::why_none(std::size_t n_vocab, std::uint32_t position) const {
    if (const char* const failure = mask_failure()) return bad_input("{}", failure);
    if (mask_) {
        std::vector<float> logits(n_vocab, 0.0F);
        std::vector<std::uint32_t> words;
        mask_->apply(logits, words);
        for (const LogitsStage& stage : stages_) {
            std::visit([&](const auto& s) { s.apply(logits); }, stage);
        }
        if (!argmax(logits)) return bad_input("the mask allows no token after {} tokens", position);
    }
    return bad_input("the model's logits after {} tokens are not numbers to choose from", position);
}

void Sampler::accept(TokenId token) {
    if (mask_) mask_->accept(token);
    forced_.accept(token);
    for (LogitsStage& stage : stages_) std::visit([&](auto& s) { s.accept(token); }, stage);
}

void Sampler::rollback(std::size_t n) {
    if (mask_) mask_->rollback(n);
    forced_.rollback(n);
    for (LogitsStage& stage : stages_) std::visit([&](auto& s) { s.rollback(n); }, stage);
}

Result<void> validate(const SamplingOptions& options, std::size_t n_vocab) {
    const auto within = [](const char* name, double value, double low, double high, const char* expected) -> Result<void> {
        if (value >= low && value <= high) return {};
        return bad_input("{}: expected {}, found {}", name, expected, value);
    };
    constexpr double kMax = 1e6;  // beyond any use, and its product with a logit still is a float
    RAFTER_TRY_VOID(within("temperature", options.temperature, 0.0, kMax, "0 or more"));
    RAFTER_TRY_VOID(within("top-p", options.top_p, 0.0, 1.0, "0 to 1"));
    RAFTER_TRY_VOID(within("min-p", options.min_p, 0.0, 1.0, "0 to 1"));
    RAFTER_TRY_VOID(within("typical-p", options.typical_p, 0.0, 1.0, "0 to 1"));
    RAFTER_TRY_VOID(within("repeat penalty", options.repeat_penalty, 1.0 / kMax, kMax, "a positive number"));
    RAFTER_TRY_VOID(within("frequency penalty", options.frequency_penalty, -kMax, kMax, "a number"));
    RAFTER_TRY_VOID(within("presence penalty", options.presence_penalty, -kMax, kMax, "a number"));
    for (const auto& [token, bias] : options.logit_bias) {
        if (token < 0 || static_cast<std::size_t>(token) >= n_vocab) {
            return bad_input("logit bias: expected a token from 0 to {}, found {}", n_vocab - 1, token);
        }
        RAFTER_TRY_VOID(within("logit bias", bias, -kMax, kMax, "a number"));
    }
    return {};
}

}  // namespace rafter::engine
