// Log-probabilities as OpenAI's endpoints show them: which tokens a text shows, where each begins, and the objects of both endpoints. Whole
// answers and streams share all of it, so that a stream's chunks joined are the whole answer's.
#pragma once

#include <cstddef>
#include <deque>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/openai_request.h"
#include "text/tokenizer.h"
#include "text/utf8_stream.h"

namespace rafter::protocols {

// Code points of valid UTF-8.
[[nodiscard]] std::size_t n_characters(std::string_view text);

// Where each token of a text begins, in characters.
class TokenOffsets {
  public:
    // Of the next token. One that does not continue the character begun before it comes after that character's U+FFFD.
    std::size_t add(std::string_view bytes);
    [[nodiscard]] std::size_t end() const;

  private:
    text::Utf8Stream characters_;
    std::size_t end_ = 0;
};

struct ShownToken {
    engine::GeneratedToken token;
    std::size_t offset = 0;  // in the answer's text, in characters
};

// What a token adds to an answer's text: a control token its text only where it is one of shown_tokens, an end token nothing.
[[nodiscard]] std::string_view shown_piece(const text::Tokenizer& tokenizer, engine::TokenId id,
                                           std::span<const engine::TokenId> shown_tokens);

// The tokens that an answer's text shows: not the end token, and not those that a stop text cut off. Text lags behind the tokens, so a
// token counts once its text has come.
class ShownTokens {
  public:
    // End tokens of the vocabulary are never shown. ignore_eos: of the request; they then end nothing. shown_tokens: of the request.
    ShownTokens(const text::Tokenizer& tokenizer, bool ignore_eos, std::vector<engine::TokenId> shown_tokens = {})
        : tokenizer_(tokenizer), ignore_eos_(ignore_eos), shown_tokens_(std::move(shown_tokens)) {}

    // Those that the text is sure to show after this update, each once, in order. Takes the update's tokens.
    [[nodiscard]] std::vector<ShownToken> take(engine::StreamUpdate& update);

  private:
    const text::Tokenizer& tokenizer_;
    bool ignore_eos_;
    std::vector<engine::TokenId> shown_tokens_;
    TokenOffsets offsets_;
    std::deque<ShownToken> waiting_;  // their texts have not come yet
    std::size_t n_characters_ = 0;    // that have come
};

// {"content": [...], "refusal": null}; each token must have its log-probabilities. n_top: likeliest ones that are shown at each place.
[[nodiscard]] nlohmann::ordered_json chat_logprobs(std::span<const ShownToken> shown, std::size_t n_top, const text::Tokenizer& tokenizer);

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of a completion: an echo first, then tokens of the answer.
class CompletionLogprobs {
  public:
    CompletionLogprobs(std::size_t n_top, const text::Tokenizer& tokenizer);
    // scores: of the echo's tokens from the second on. A token without a score, such as the first, has null.
    void add_echo(const OpenAiEcho& echo, std::span<const engine::TokenLogprobs> scores);
    // begin: where the answer's text begins, behind that of the echo.
    void add(std::span<const ShownToken> shown, std::size_t begin);
    [[nodiscard]] nlohmann::ordered_json take() { return std::move(json_); }

  private:
    void add(engine::TokenId id, const engine::TokenLogprobs* logprobs, std::size_t offset);

    std::size_t n_top_;
    const text::Tokenizer& tokenizer_;
    nlohmann::ordered_json json_;
};

// "prompt_logprobs" as vLLM has them: for each token of the prompt an object from token ids to {"logprob", "rank", "decoded_token"}, of the
// token itself and of the n_top likeliest; null for the first one. The rank of a token that is not among those reported is null. scores: of
// the tokens from the second on; one without a score has null.
[[nodiscard]] nlohmann::ordered_json prompt_logprobs(std::span<const engine::TokenId> prompt, std::span<const engine::TokenLogprobs> scores,
                                                     std::size_t n_top, const text::Tokenizer& tokenizer);

// JSON has no infinity: at least -9999, as with OpenAI.
[[nodiscard]] double finite_logprob(double logprob);

}  // namespace rafter::protocols
