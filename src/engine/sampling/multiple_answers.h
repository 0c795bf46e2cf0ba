// Several answers to one request: as many requests, each with a seed of its own, and which of their answers are the best.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"
#include "engine/token_stream.h"

namespace rafter::engine {

inline constexpr std::uint32_t kMaxAnswers = 128;

struct SeveralOptions {
    std::uint32_t n = 1;                   // answers to show
    std::optional<std::uint32_t> best_of;  // generate so many, and show those n that the model thought the likeliest

    [[nodiscard]] std::uint32_t n_generated() const { return best_of.value_or(n); }
};

// Fails on no answer, on more than kMaxAnswers, on a best_of below n, and on several answers at temperature 0, which would be one.
[[nodiscard]] Result<void> validate(const SeveralOptions& options, const SamplingOptions& sampling);

// [n_generated]. The i-th differs in its seed only, derived_seed(seed, i): its answer depends on the request and i alone, and that
// seed gives it again. For best_of, tokens get their log-probabilities. options must be valid.
[[nodiscard]] std::vector<Request> several_requests(const Request& request, const SeveralOptions& options);

// Of all tokens of an answer, the end token included; each must have its log-probability. -inf for no tokens, and for what is no number.
[[nodiscard]] double mean_logprob(std::span<const GeneratedToken> tokens);

// The n answers with the highest of these, as indices: falling, of equals the lower index first.
[[nodiscard]] std::vector<std::uint32_t> best_answers(std::span<const double> mean_logprobs, std::uint32_t n);

}  // namespace rafter::engine
