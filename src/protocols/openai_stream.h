// An answer with "stream": true, as the data of its server-sent events: chat.completion.chunk or text_completion objects, then "[DONE]".
// https://platform.openai.com/docs/api-reference/chat-streaming
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/answers/answer_reader.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_logprobs.h"
#include "protocols/openai_request.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

// One thread. Each function gives what is to be sent now, one event each, without line ends; a client that joins all texts and all
// log-probabilities of a choice has those of openai_answer().
class OpenAiStream {
  public:
    // request: before its choices are moved to the engine; what is needed of it is copied. tokenizer outlives this.
    OpenAiStream(const OpenAiRequest& request, OpenAiIdentity identity, const text::Tokenizer& tokenizer);

    // What choice `index` brought. A choice's first chunk comes with its first update: until then nothing has been computed. A finish with
    // an error gives that of fail(500, ...).
    [[nodiscard]] std::vector<std::string> update(std::size_t index, engine::StreamUpdate&& update);
    // Once, when complete(): the last choice's finish_reason, the usage if the request wants it, "[DONE]". timings (null for none) are in
    // the usage's chunk, or in that of the finish_reason.
    [[nodiscard]] std::vector<std::string> end(const AnswerTimings* timings = nullptr);
    // Ends the stream early: {"error": ...} and no "[DONE]". Nothing comes after it, from any function.
    [[nodiscard]] std::vector<std::string> fail(int status, const std::string& message);

    [[nodiscard]] bool complete() const { return !failed_ && n_open_ == 0; }  // every choice has its finish
    [[nodiscard]] bool failed() const { return failed_; }                     // the caller cancels what still runs
    // So far: of the choices that have finished.
    [[nodiscard]] OpenAiUsage usage() const;

  private:
    struct Choice {
        ShownTokens shown;
        AnswerReader reader;
        engine::StreamUpdate held;  // waits for the scores of the echoed prompt
        engine::Finish finish;
        bool begun = false;
        bool ended = false;
    };

    [[nodiscard]] bool has_scores(std::size_t prompt) const;
    void flush(std::size_t index, std::vector<std::string>& events);
    void begin(std::size_t index, std::vector<std::string>& events);
    // What the held update adds to the message, a delta each.
    [[nodiscard]] std::vector<std::string> deltas(std::size_t index);
    [[nodiscard]] std::string chunk(std::size_t index, std::string_view delta, std::string_view logprobs, std::string_view finish) const;

    OpenAiEndpoint endpoint_;
    std::uint32_t n_;  // choices of each prompt
    std::uint64_t n_prompt_tokens_;
    std::optional<std::uint32_t> n_logprobs_;
    bool with_usage_;
    std::vector<OpenAiEcho> echoes_;                          // [n_prompts], or none
    std::vector<std::vector<engine::TokenLogprobs>> scores_;  // [n_prompts]: of the echoes
    const text::Tokenizer& tokenizer_;
    std::string id_;
    std::string head_;  // of every chunk, up to the value of "choices"
    std::vector<Choice> choices_;
    std::size_t n_open_;
    std::string last_;  // the chunk with the last finish_reason, without its end
    bool failed_ = false;
};

}  // namespace rafter::protocols
