// What an answer took, what was predicted on its arrival, and what bound it: the "timings" object of every answer.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/token_stream.h"

namespace rafter::protocols {

// Tokens are summed over the answer's choices; seconds are those of the first one.
struct AnswerTimings {
    double queue_seconds = 0.0;                 // until the first step, with the server's own queue
    double prefill_seconds = 0.0;               // from the first step to the first token
    double decode_seconds = 0.0;                // from the first token to the last
    std::optional<double> first_token_seconds;  // measured, from the arrival
    std::uint64_t n_prompt_tokens = 0;
    std::uint64_t n_cached_tokens = 0;  // of the prompts, found in the prefix cache
    std::uint64_t n_generated_tokens = 0;
    std::uint64_t n_preemptions = 0;
    std::optional<double> prefill_tokens_per_s, decode_tokens_per_s;                    // none: no time, or no token
    std::optional<std::uint64_t> n_draft_tokens, n_accepted_draft_tokens;               // none: without speculation, or not known
    std::optional<double> roof_fraction;                                                // of what the hardware allowed while it ran
    std::optional<double> predicted_first_token_seconds, predicted_last_token_seconds;  // from the arrival; the last: if max_tokens come
    std::string bound;  // what took most of the time until the first token: "queue", "compute", "memory"; "": not known
};

// Times, tokens and rates of one choice; the caller adds what only it knows.
[[nodiscard]] AnswerTimings timings_of(const engine::RequestTimes& times);

// Keys carry their units; what is not known is null.
[[nodiscard]] nlohmann::ordered_json timings_json(const AnswerTimings& timings);

}  // namespace rafter::protocols
