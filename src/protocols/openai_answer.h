// The engine's answers as OpenAI's: chat.completion and text_completion objects, and errors.
// https://platform.openai.com/docs/api-reference/chat/object and .../completions/object
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/openai_request.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

// One choice, collected from its stream.
struct OpenAiChoice {
    std::vector<engine::GeneratedToken> tokens;
    std::vector<engine::TokenLogprobs> prompt_scores;  // of the prompt's tokens from the second on, where the request asked for them
    std::string text;
    engine::Finish finish;

    // Adds an update. True if it was the last one.
    bool take(engine::StreamUpdate&& update);
};

struct OpenAiIdentity {
    std::string id;  // without the "chatcmpl-" or "cmpl-" before it
    std::int64_t created_unix_s = 0;
    std::string model;
};

// The body of an answer with status 200. choices: as many as the request's, all finished without an error. Of the request, the
// endpoint, n, the echoes and the number of prompt tokens are used. Text that is not UTF-8 (a model's name) is left to dump()'s error
// handler.
[[nodiscard]] nlohmann::ordered_json openai_answer(const OpenAiRequest& request, std::span<const OpenAiChoice> choices,
                                                   const OpenAiIdentity& identity, const text::Tokenizer& tokenizer);

// {"error": {"message", "type", "param", "code"}}: "invalid_request_error" below 500, "server_error" from there on.
[[nodiscard]] nlohmann::ordered_json openai_error(int status, const std::string& message);

}  // namespace rafter::protocols
