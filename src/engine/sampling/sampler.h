// Chooses a sequence's next token: a pure function of (logits, history, options, noise keyed by seed, position and token).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/sampling/logits_stages.h"
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
    explicit Sampler(const Request& request);

    // The token for this position (the number of tokens before it). None when no token can be chosen: all logits are -inf or NaN, or one
    // is +inf. Time is linear in n_vocab, and a logarithm more for tokens that top-p or typical-p must look at one by one.
    [[nodiscard]] std::optional<TokenId> sample(std::span<const float> logits, std::uint32_t position, SamplerScratch& scratch) const;
    void accept(TokenId token);
    void rollback(std::size_t n);

  private:
    SamplingOptions options_;
    std::vector<LogitsStage> stages_;
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
