// A mean and not a sum of log-probabilities ranks answers: a sum would favour the shortest.
#include "engine/sampling/multiple_answers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "engine/sampling/noise.h"

namespace rafter::engine {

Result<void> validate(const SeveralOptions& options, const SamplingOptions& sampling) {
    if (options.n < 1 || options.n > kMaxAnswers) return bad_input("n: expected 1 to {}, found {}", kMaxAnswers, options.n);
    if (options.best_of && (*options.best_of < options.n || *options.best_of > kMaxAnswers)) {
        return bad_input("best-of: expected {} (n) to {}, found {}", options.n, kMaxAnswers, *options.best_of);
    }
    if (options.n_generated() > 1 && sampling.temperature == 0.0) {
        return bad_input("{}: several answers need a temperature above 0; with 0 all of them would be the same",
                         options.best_of ? "best-of" : "n");
    }
    return {};
}

std::vector<Request> several_requests(const Request& request, const SeveralOptions& options) {
    std::vector<Request> requests(options.n_generated(), request);
    for (std::uint32_t i = 0; i < requests.size(); ++i) {
        requests[i].sampling.seed = derived_seed(request.sampling.seed, i);
        if (options.best_of) requests[i].n_logprobs = request.n_logprobs.value_or(0);
    }
    return requests;
}

double mean_logprob(std::span<const GeneratedToken> tokens) {
    constexpr double kWorst = -std::numeric_limits<double>::infinity();
    double sum = 0.0;
    for (const GeneratedToken& token : tokens) {
        RAFTER_CHECK(token.logprobs.has_value(), "token {} has no log-probability", token.id);
        sum += token.logprobs->logprob;
    }
    const double mean = tokens.empty() ? kWorst : sum / static_cast<double>(tokens.size());
    return std::isnan(mean) ? kWorst : mean;
}

std::vector<std::uint32_t> best_answers(std::span<const double> mean_logprobs, std::uint32_t n) {
    RAFTER_CHECK(n <= mean_logprobs.size(), "{} answers to choose {} from", mean_logprobs.size(), n);
    std::vector<std::uint32_t> best(mean_logprobs.size());
    std::iota(best.begin(), best.end(), 0U);
    std::stable_sort(best.begin(), best.end(), [&](std::uint32_t a, std::uint32_t b) { return mean_logprobs[a] > mean_logprobs[b]; });
    best.resize(n);
    return best;
}

}  // namespace rafter::engine
