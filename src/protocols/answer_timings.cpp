// Rates count what was computed: prompt tokens that were not cached, and the tokens after the first.
#include "protocols/answer_timings.h"

#include <algorithm>

namespace rafter::protocols {
namespace {

template <typename T>
nlohmann::ordered_json known(const std::optional<T>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

std::optional<double> rate(std::uint64_t n_tokens, double seconds) {
    if (n_tokens == 0 || seconds <= 0.0) return std::nullopt;
    return static_cast<double>(n_tokens) / seconds;
}

}  // namespace

AnswerTimings timings_of(const engine::RequestTimes& times) {
    AnswerTimings timings{.queue_seconds = times.queue_seconds,
                          .prefill_seconds = times.prefill_seconds,
                          .decode_seconds = times.decode_seconds,
                          .n_prompt_tokens = times.n_prompt,
                          .n_cached_tokens = times.n_reused,
                          .n_generated_tokens = times.n_generated,
                          .n_preemptions = times.n_preemptions};
    timings.prefill_tokens_per_s = rate(times.n_prompt - std::min(times.n_prompt, times.n_reused), times.prefill_seconds);
    timings.decode_tokens_per_s = rate(times.n_generated - std::min(times.n_generated, 1U), times.decode_seconds);
    return timings;
}

nlohmann::ordered_json timings_json(const AnswerTimings& timings) {
    return {{"queue_seconds", timings.queue_seconds},
            {"prefill_seconds", timings.prefill_seconds},
            {"decode_seconds", timings.decode_seconds},
            {"first_token_seconds", known(timings.first_token_seconds)},
            {"predicted_first_token_seconds", known(timings.predicted_first_token_seconds)},
            {"predicted_last_token_seconds", known(timings.predicted_last_token_seconds)},
            {"bound", timings.bound.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(timings.bound)},
            {"roof_fraction", known(timings.roof_fraction)},
            {"prompt_tokens", timings.n_prompt_tokens},
            {"cached_tokens", timings.n_cached_tokens},
            {"generated_tokens", timings.n_generated_tokens},
            {"prefill_tokens_per_second", known(timings.prefill_tokens_per_s)},
            {"decode_tokens_per_second", known(timings.decode_tokens_per_s)},
            {"draft_tokens", known(timings.n_draft_tokens)},
            {"accepted_draft_tokens", known(timings.n_accepted_draft_tokens)},
            {"preemptions", timings.n_preemptions}};
}

}  // namespace rafter::protocols
