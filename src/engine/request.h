// What is asked of the engine: a prompt as tokens, how to choose the next ones, and when to stop. Plain data; server and command line fill
// it in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/sampling.h"
#include "engine/sampling/forced_tokens.h"
#include "engine/sampling/mask.h"
#include "text/tokenizer.h"

namespace rafter::engine {

using backend::SamplingOptions;
using text::TokenId;

enum class OutputKind {
    kTokens,      // an answer, or the prompt's scores
    kHiddenLast,  // no answer, but the hidden state of the prompt's last token, after the last norm: what the head multiplies
    kHiddenMean,  // the mean of those of all the prompt's tokens, which then all are computed: the cache keeps no hidden states
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
    std::vector<TokenId> probed_tokens;       // with n_logprobs: and those of these tokens, however likely they are
    // Report the log-probability of each prompt token that comes after this position, given those before it.
    std::optional<std::uint32_t> score_prompt_from;
    int priority = 0;                       // the higher first; each step of it is worth half a minute of waiting
    std::optional<double> timeout_seconds;  // from its arrival; it then ends with what it has
    std::string cache_salt;                 // only requests with the same salt share what is in the cache
    // Where the answer has these tokens whatever the logits say, which are computed all the same. They count as others do: for max_tokens,
    // penalties, stop texts and end tokens, even before min_tokens.
    std::vector<ForcedTokens> forced;
    // Control tokens whose text the answer shows all the same, but for end tokens: marks that whoever reads the answer looks for. Sorted or
    // not; a few.
    std::vector<TokenId> shown_tokens;
    // What the answer must keep to; null: anything. Each sequence has a matcher of its own. While the mask is not decided the request waits
    // beside the line, where nobody waits for it; its deadline and cancellation count.
    std::shared_ptr<PendingMask> mask;
    OutputKind output = OutputKind::kTokens;
};

}  // namespace rafter::engine
