// Anthropic's requests as the engine's: the bodies of a POST to /v1/messages and to /v1/messages/count_tokens, checked key by key.
// https://docs.anthropic.com/en/api/messages and .../messages-count-tokens
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "protocols/openai_request.h"
#include "protocols/tokenize.h"

namespace rafter::protocols {

struct AnthropicRequest {
    engine::Request sequence;
    std::optional<std::string> model;  // as the client calls it
    std::uint64_t n_prompt_tokens = 0;
    std::uint32_t n_system_tokens = 0;  // of them, before the conversation
    bool stream = false;
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    bool timings = true;
    std::vector<std::string> stop_sequences;   // the answer says which of them ended it
    std::shared_ptr<const AnswerRules> rules;  // how the answer's text is parted; null: it is the answer
    std::optional<grammar::Grammar> grammar;   // what the answer must keep to
    std::vector<std::string> unknown_keys;
    std::vector<std::string> warnings;
};

// body: any JSON value. Fails with kBadInput, as parse_openai_request().
[[nodiscard]] Result<AnthropicRequest> parse_anthropic_request(const nlohmann::json& body, const engine::OpenedModel& opened,
                                                               const OpenAiDefaults& defaults);
// {"input_tokens"} of the prompt that such a request has, however long it is.
[[nodiscard]] Result<TokenizeAnswer> count_anthropic_tokens(const nlohmann::json& body, const engine::OpenedModel& opened,
                                                            const OpenAiDefaults& defaults);

}  // namespace rafter::protocols
