// The engine's answers as OpenAI's: chat.completion and text_completion objects.
// https://platform.openai.com/docs/api-reference/chat/object and .../completions/object
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/answer_timings.h"
#include "protocols/answers/answer_reader.h"
#include "protocols/openai_error.h"
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

struct OpenAiUsage {
    std::uint64_t n_prompt_tokens = 0;             // each prompt counted once
    std::optional<std::uint64_t> n_cached_tokens;  // of them, found in the prefix cache; none: left out
    std::uint64_t n_generated_tokens = 0;
    std::uint64_t n_reasoning_tokens = 0;  // of them
};
// finishes: of all choices, in order; n: choices of each prompt. Of a prompt those tokens are cached that none of its choices computed.
[[nodiscard]] OpenAiUsage openai_usage(std::uint64_t n_prompt_tokens, std::uint32_t n, std::span<const engine::Finish> finishes);
[[nodiscard]] nlohmann::ordered_json openai_usage_json(const OpenAiUsage& usage);
// A chat's message: "content" (null where there are calls and no text), "reasoning_content" and "tool_calls" where the answer has them.
// answer_id and index: of the choice, from which its calls' ids come.
[[nodiscard]] nlohmann::ordered_json chat_message(const PartedAnswer& parts, std::string_view answer_id, std::size_t index);

struct OpenAiAnswerOptions {
    const AnswerTimings* timings = nullptr;  // null: none
    // Leave out how many tokens were cached: the answer is then the same whatever ran before it.
    bool without_cached_tokens = false;
};
// The body of an answer with status 200. choices: as many as the request's, all finished without an error. Of the request all
// is used but its choices: they may have moved to the engine. Text that is not UTF-8 (a model's name) is left to dump()'s error handler.
[[nodiscard]] nlohmann::ordered_json openai_answer(const OpenAiRequest& request, std::span<const OpenAiChoice> choices,
                                                   const OpenAiIdentity& identity, const text::Tokenizer& tokenizer,
                                                   const OpenAiAnswerOptions& options = {});

}  // namespace rafter::protocols
