// Top-k, top-p, min-p and typical-p: which tokens of a row may be drawn. The tokens that stay are those that sums in double, in a fixed
// order, name (keep_likely_exactly()); the kernels' sums only decide where no rounding could decide otherwise.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/sampling/race.h"

namespace rafter::engine {

// The k likeliest, of which top-p and min-p then leave the likeliest, in that order.
void keep_top_k(std::span<const float> logits, const SamplingOptions& options, const Weight& weight, const SamplingKernels& kernels,
                TokenList& list, std::vector<Candidate>& candidates);
// A race that may make the cut needless. Where many tokens may stay, all of them run first: a winner that surely stays also wins among the
// tokens that stay, because a token's time does not depend on who else runs.
struct EarlyRace {
    const TokenNoise& noise;
    TokenId likeliest;
    std::optional<TokenId> winner = std::nullopt;  // set by keep_likely(), which then leaves anything in the list
};

// Leaves in the list, in ascending order, what top-p and min-p leave of the row. False: the decision is too close, or the temperature too
// low, for the kernels; the list then holds anything. early: null where the whole list is needed.
[[nodiscard]] bool keep_likely(std::span<const float> logits, const SamplingOptions& options, const Weight& weight,
                               const SamplingKernels& kernels, TokenList& list, std::vector<Candidate>& candidates, EarlyRace* early);
// The same by definition, the likeliest first.
void keep_likely_exactly(std::span<const float> logits, const SamplingOptions& options, const Weight& weight,
                         std::vector<Candidate>& candidates);
// Leaves those whose surprise is nearest to the mean of all candidates' (their entropy), the nearest first.
void keep_typical(double typical_p, const Weight& weight, std::vector<Candidate>& candidates);

}  // namespace rafter::engine
