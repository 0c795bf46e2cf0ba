// Answers of /api/chat and /api/generate: one object, or a line of JSON for each part and a last one with what the answer took.
// https://github.com/ollama/ollama/blob/main/docs/api.md
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/answer_timings.h"
#include "protocols/answers/answer_reader.h"
#include "protocols/ollama_request.h"
#include "protocols/openai_logprobs.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

struct OllamaIdentity {
    std::string id;                    // of the request, from which its calls' ids come
    std::string model;                 // as the client called it
    std::function<std::string()> now;  // in RFC 3339: "2026-11-29T18:00:00.000000Z"
};
// In UTC, with microseconds.
[[nodiscard]] std::string rfc3339(std::int64_t unix_microseconds);

// One answer as it grows. One thread. Whoever joins the texts, thoughts and calls of all lines has those of answer().
class OllamaAnswer {
  public:
    // What is needed of request is copied. tokenizer outlives this.
    OllamaAnswer(const OllamaRequest& request, OllamaIdentity identity, const text::Tokenizer& tokenizer);

    // A stream: the lines that an update adds, without line ends, perhaps none; then the last one, after the finish.
    [[nodiscard]] std::vector<std::string> update(engine::StreamUpdate&& update);
    [[nodiscard]] std::vector<std::string> end(const AnswerTimings& timings);
    // {"error": ...}, once; nothing comes after it.
    [[nodiscard]] std::vector<std::string> fail(std::string_view message);

    // An answer that is sent whole: take() each update, then answer().
    void take(engine::StreamUpdate&& update);
    [[nodiscard]] nlohmann::ordered_json answer(const AnswerTimings& timings) const;

  private:
    // What a line or the whole answer says.
    struct Parts {
        PartedAnswer text;
        std::uint32_t n_calls_before = 0;  // in earlier lines
        nlohmann::ordered_json logprobs = nlohmann::ordered_json::array();
        [[nodiscard]] bool empty() const;
    };
    void read(engine::StreamUpdate&& update, Parts& parts);
    [[nodiscard]] nlohmann::ordered_json call_json(const WrittenCall& call, std::uint32_t index) const;
    [[nodiscard]] nlohmann::ordered_json line(const Parts& parts) const;
    void add_end(nlohmann::ordered_json& line, const AnswerTimings& timings) const;

    OllamaEndpoint endpoint_;
    OllamaIdentity identity_;
    const text::Tokenizer& tokenizer_;
    std::optional<std::uint32_t> n_logprobs_;
    bool with_context_;
    std::uint64_t n_prompt_tokens_;
    ShownTokens shown_;
    AnswerReader reader_;
    std::vector<engine::TokenId> context_;  // prompt and answer so far, where with_context_
    std::uint32_t n_calls_ = 0;             // so far
    Parts whole_;
    engine::Finish finish_;
    bool failed_ = false;
};

// The answer to a request that wants the model loaded or unloaded.
[[nodiscard]] nlohmann::ordered_json ollama_loaded(const OllamaRequest& request, const OllamaIdentity& identity);
[[nodiscard]] nlohmann::ordered_json ollama_error(std::string_view message);

}  // namespace rafter::protocols
