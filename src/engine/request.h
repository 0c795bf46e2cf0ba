// What is asked of the engine: a prompt as tokens, how to choose the next ones, and when to stop. Plain data; server and command line fill
// it in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/sampling.h"
#include "text/tokenizer.h"

namespace rafter::engine {

using backend::SamplingOptions;
using text::TokenId;

struct Request {
    std::vector<TokenId> prompt;
    SamplingOptions sampling;
    std::uint32_t max_tokens = 128;   // 0: only score the prompt
    std::vector<std::string> stop;    // an answer ends before the first of these texts
    std::vector<TokenId> end_tokens;  // and with any of these tokens, whose text is never shown
    // The token that ends an answer comes after so many others: before that, end tokens have logits of -inf, and a stop text that becomes
    // complete is text like any other. max_tokens and the context end it all the same.
    std::uint32_t min_tokens = 0;
    // End tokens are drawn as others are and end nothing, as in vLLM; stop texts still do. min_tokens keeps its meaning for both.
    bool ignore_eos = false;
    std::optional<std::uint32_t> n_logprobs;  // report each token's log-probability, and those of the n likeliest
    // Report the log-probability of each prompt token that comes after this position, given those before it.
    std::optional<std::uint32_t> score_prompt_from;
    int priority = 0;                       // the higher first; each step of it is worth half a minute of waiting
    std::optional<double> timeout_seconds;  // from its arrival; it then ends with what it has
    std::string cache_salt;                 // only requests with the same salt share what is in the cache
    // The answer begins with these tokens, whatever the logits say, which are computed all the same: to measure on a given text.
    std::vector<TokenId> forced_answer;
};

}  // namespace rafter::engine
