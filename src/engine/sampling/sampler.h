// Chooses a sequence's next token: a pure function of (logits, history, options, noise keyed by seed, position and token).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "engine/sampling/forced_tokens.h"
#include "engine/sampling/logits_stages.h"
#include "engine/sampling/mask.h"
#include "engine/sampling/noise.h"
#include "engine/sampling/race.h"

namespace rafter::engine {

// Working memory that samplers may share, one after the other, and the kernels that they use.
class SamplerScratch {
  public:
    SamplerScratch() : SamplerScratch(backend::host_sampling_kernels()) {}
    SamplerScratch(SamplerScratch&&) noexcept = default;
    SamplerScratch& operator=(SamplerScratch&&) noexcept = default;
    // rows: memory for the rows of a model; without it, the scratch takes its own as rows come.
    explicit SamplerScratch(const SamplingKernels& kernels, const backend::RowScratch& rows = {})
        : kernels_(&kernels), rows_(rows), n_vocab_(rows.logits.size()) {}

    // For a row of n logits.
    backend::RowScratch& rows(std::size_t n);
    [[nodiscard]] const SamplingKernels& kernels() const { return *kernels_; }

    std::span<float> logits;  // [n_vocab]: the last row that stages changed
    // What was left of the last row to draw from, where it had to be in order: with top-k, typical-p and in close decisions.
    std::vector<Candidate> candidates;
    std::vector<std::uint32_t> mask_words;  // [n_mask_words(n_vocab)]

  private:
    const SamplingKernels* kernels_;
    std::vector<double> own_;
    backend::RowScratch rows_;
    std::size_t n_vocab_ = 0;
};

// One a sequence. Follows its history through accept() and rollback().
class Sampler {
  public:
    // The request's sampling options must be valid (see validate()).
    // tokenizer: outlives this; needed where forced tokens depend on a text.
    explicit Sampler(const Request& request, const text::Tokenizer* tokenizer = nullptr);

    // The token for this position (the number of tokens before it). None when no token can be chosen: all logits are -inf or NaN, or one
    // is +inf. Time is linear in n_vocab, and a logarithm more for tokens that top-p or typical-p must look at one by one.
    [[nodiscard]] std::optional<TokenId> sample(std::span<const float> logits, std::uint32_t position, SamplerScratch& scratch) const;
    // Why sample() chose none of n_vocab logits at this position.
    [[nodiscard]] Error why_none(std::size_t n_vocab, std::uint32_t position) const;
    void accept(TokenId token);
    void rollback(std::size_t n);

    // The request's mask, once it is compiled and before any token. May throw what making a matcher throws.
    void set_mask(std::shared_ptr<const CompiledMask> mask, const Request& request);
    [[nodiscard]] bool has_mask() const { return mask_ != nullptr; }
    // Of these draft tokens, one after the other, how many the mask allows.
    [[nodiscard]] std::size_t n_acceptable(std::span<const TokenId> drafts) { return mask_ ? mask_->n_acceptable(drafts) : drafts.size(); }
    // The masks of the step that comes, while its logits are computed.
    void look_ahead(std::span<const TokenId> drafts, std::size_t n_logits) noexcept {
        if (mask_) mask_->look_ahead(drafts, n_logits);
    }
    // Of the answer so far, by the mask.
    [[nodiscard]] const char* mask_failure() const { return mask_ ? mask_->failure() : nullptr; }
    [[nodiscard]] bool mask_is_finished() const { return mask_ && mask_->is_finished(); }

    // What the next token must be, whatever sample() would choose. Drafters ask sample(), so that what they measure is what a model thinks.
    [[nodiscard]] std::optional<TokenId> forced_token() const { return forced_.next(); }
    [[nodiscard]] ForcedAnswer& forced() { return forced_; }

  private:
    SamplingOptions options_;
    std::unique_ptr<MaskStage> mask_;  // comes before the other stages; null: none
    std::vector<LogitsStage> stages_;
    ForcedAnswer forced_;
};

// Fails on numbers that make no sense, naming the option, what it may be and what it is.
[[nodiscard]] Result<void> validate(const SamplingOptions& options, std::size_t n_vocab);

// The likeliest token, the lowest id of equals; none when all are -inf or NaN.
[[nodiscard]] std::optional<TokenId> argmax(std::span<const float> logits,
                                            const SamplingKernels& kernels = backend::host_sampling_kernels());
// A token drawn as temperature, top-k, top-p, min-p and typical-p say. Temperature must be above 0. Draws of different logits with the same
// noise are the same token as often as their distributions allow: with probability (1 - d) / (1 + d) at least, d being the total variation
// between them. Daliri et al. 2024, "Coupling without communication and drafter-invariant speculative decoding",
// https://arxiv.org/abs/2408.07978
[[nodiscard]] std::optional<TokenId> draw(std::span<const float> logits, const SamplingOptions& options, const TokenNoise& noise,
                                          SamplerScratch& scratch);

}  // namespace rafter::engine
