// What is asked of the engine: a prompt as tokens, how to choose the next ones, and when to stop. Plain data; server and command line fill
// it in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace rafter::engine {

using text::TokenId;

// Applied to the logits in this order, which is Hugging Face's: logit bias, penalties, temperature, top-k, top-p, min-p, typical-p; then
// one token is drawn of what is left. Each cut sees what the one before it left, its probabilities summing to 1 again.
struct SamplingOptions {
    std::vector<std::pair<TokenId, float>> logit_bias;  // added to these tokens' logits
    double repeat_penalty = 1.0;     // logits of tokens seen in prompt or answer: divided by it when positive, multiplied when negative
    double frequency_penalty = 0.0;  // subtracted for each time that a token is in the answer so far
    double presence_penalty = 0.0;   // subtracted once when it is there at all
    double temperature = 0.0;        // 0: always the likeliest token
    std::uint32_t top_k = 0;         // only the k likeliest; 0: all
    double top_p = 1.0;              // only the likeliest tokens that together have at least this probability
    double min_p = 0.0;              // only tokens at least this fraction as likely as the likeliest
    // Only the tokens whose surprise, -log p, is nearest to the expected one, until together they have this probability. Of equally near
    // ones the likelier come first, then the lower ids. 1: all. Meister et al. 2022, https://arxiv.org/abs/2202.00666
    double typical_p = 1.0;
    std::uint64_t seed = 0;  // same seed, same text
};

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
