// /tokenize, /detokenize and /apply-template, in vLLM's forms and llama-server's: what a prompt becomes, without computing anything.
// https://docs.vllm.ai/en/stable/serving/online_serving, https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

// A body of one of these endpoints, answered. defaults: the limits of a prompt, and the context as "max_model_len". All fail with
// kBadInput.
struct TokenizeAnswer {
    nlohmann::ordered_json body;
    std::optional<std::string> model;  // as the client calls it
    std::vector<std::string> unknown_keys;
};
// {"prompt"} or {"messages"}: {"count", "max_model_len", "tokens", "token_strs"}. {"content"}: {"tokens"}, of ids or with pieces.
[[nodiscard]] Result<TokenizeAnswer> tokenize(const nlohmann::json& body, const engine::OpenedModel& opened,
                                              const OpenAiDefaults& defaults);
// {"tokens"}: {"prompt", "content"}, both the text, as each form calls it.
[[nodiscard]] Result<TokenizeAnswer> detokenize(const nlohmann::json& body, const engine::OpenedModel& opened,
                                                const OpenAiDefaults& defaults);
// {"messages"}: {"prompt"}.
[[nodiscard]] Result<TokenizeAnswer> apply_template(const nlohmann::json& body, const engine::OpenedModel& opened,
                                                    const OpenAiDefaults& defaults);

}  // namespace rafter::protocols
