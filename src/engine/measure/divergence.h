// How far a model's distributions of the next token lie from a reference's, on a text: the KL divergence, KL(reference || model), and the
// perplexities of both. Both models are in memory and go through the text together: no logits are kept.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "backend/sampling.h"
#include "engine/loading/loaded_model.h"
#include "engine/measure/text_windows.h"

namespace rafter::engine {

// Two rows of logits compared. Sums are in double.
struct TokenDivergence {
    double kl = 0.0;        // nats; 0 where both rows are the same bits; NaN or infinite where logits are
    bool same_top = false;  // the likeliest token is the same, the lowest id of equals
    // Where the next token was given: its log-probabilities.
    std::optional<double> logprob;
    std::optional<double> reference_logprob;
};
// Both rows have the same length, above 0.
[[nodiscard]] TokenDivergence compare_logits(std::span<const float> reference_logits, std::span<const float> logits,
                                             std::optional<TokenId> next,
                                             const backend::SamplingKernels& kernels = backend::host_sampling_kernels());

// Every error is one standard error, tokens taken as independent.
struct DivergenceSummary {
    std::uint64_t n_tokens = 0;
    double mean_kl = 0.0;  // nats a token
    double mean_kl_error = 0.0;
    double kl_99 = 0.0;  // percentiles, exact, interpolated between neighbours
    double kl_999 = 0.0;
    double max_kl = 0.0;
    double same_top = 0.0;  // part of the tokens whose likeliest next token is the same
    double same_top_error = 0.0;
    // Of the tokens that were given what comes next; all 0 where there are none.
    std::uint64_t n_scored = 0;
    double perplexity = 0.0;
    double perplexity_error = 0.0;
    double reference_perplexity = 0.0;
    double reference_perplexity_error = 0.0;
    // The model's over the reference's. Both were measured on the same tokens, so this error is far below those of the two.
    double perplexity_ratio = 0.0;
    double perplexity_ratio_error = 0.0;
};

// Mean and spread of numbers as they come.
class RunningMean {
  public:
    void add(double x);
    [[nodiscard]] std::uint64_t n() const { return n_; }
    [[nodiscard]] double mean() const { return n_ > 0 ? mean_ : 0.0; }
    // One standard error of the mean, the numbers taken as independent; 0 of fewer than two.
    [[nodiscard]] double error() const;
    // Of -log p: exp(mean), and that times the error.
    [[nodiscard]] double perplexity() const;
    [[nodiscard]] double perplexity_error() const { return error() * perplexity(); }

  private:
    std::uint64_t n_ = 0;
    double mean_ = 0.0;
    double squares_ = 0.0;  // the sum of squared distances from the mean (Welford 1962)
};

// Four bytes a token are kept, for the percentiles.
class Divergence {
  public:
    void add(std::span<const float> reference_logits, std::span<const float> logits, std::optional<TokenId> next);
    void add(const TokenDivergence& token);
    [[nodiscard]] std::uint64_t n_tokens() const { return kl_.n(); }
    [[nodiscard]] DivergenceSummary summary() const;
    // Of what was added so far, without sorting: for progress.
    [[nodiscard]] const RunningMean& kl() const { return kl_; }
    [[nodiscard]] const RunningMean& loss() const { return loss_; }  // -log p of the model

  private:
    RunningMean kl_;
    RunningMean loss_;
    RunningMean reference_loss_;
    RunningMean loss_change_;  // the model's less the reference's
    std::uint64_t n_same_top_ = 0;
    std::vector<float> kls_;
};

// Calls `use` with the logits of each position in [first_row, window.size() - 1), in order, some positions at a time: rows[i] is of
// position `first + i`, and they are valid until it returns. All models must have the same vocabulary, a context of window.size() and room
// for one sequence; each takes as many outputs a step as the one with the fewest has room for. Not while an Engine uses the cache.
using LogitsSink = std::function<void(std::size_t first, std::span<const backend::StepOutput> outputs, std::size_t n_rows)>;
void run_window(std::span<LoadedModel* const> models, std::span<const TokenId> window, std::uint32_t first_row, const LogitsSink& use);

// Compares both models on the window's positions from first_row on, and adds the results in order of position. The sums do not depend on
// the number of threads. `seen`, where it is not empty, gets each of them first. Fails where a divergence or a log-probability is not
// finite, and says at which position.
using TokenSink = std::function<Result<void>(std::size_t position, TokenId next, const TokenDivergence& token)>;
[[nodiscard]] Result<void> add_window(LoadedModel& reference, LoadedModel& model, std::span<const TokenId> window, std::uint32_t first_row,
                                      Divergence& to, const TokenSink& seen = {});

// Fails, with one line that says what differs first, unless both models number the same tokens in the same way and have as many logits.
[[nodiscard]] Result<void> check_same_vocabulary(const OpenedModel& reference, const OpenedModel& model);

}  // namespace rafter::engine
