// What a request says of how its answers are read, and what that asks of the engine: for chats, responses and messages.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "engine/loading/loaded_model.h"
#include "grammar/grammar.h"
#include "protocols/openai_request.h"
#include "protocols/openai_tools.h"

namespace rafter::protocols {

struct ReadRules {
    std::shared_ptr<const AnswerRules> rules;  // null: the text is the answer
    std::vector<engine::ForcedTokens> forced;  // of a thought's limit
    std::optional<grammar::Grammar> grammar;   // of a tool_choice that the answer must keep to
};
// where: of the body. thought_tokens: a thought's limit; none: no limit. prompt: of the first choice.
[[nodiscard]] Result<ReadRules> make_rules(const std::string& where, const ToolRequest& tools, std::optional<std::uint32_t> thought_tokens,
                                           const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                                           std::span<const engine::TokenId> prompt);
// The same with the limit that the body has as "thinking_token_budget".
[[nodiscard]] Result<ReadRules> read_rules(const JsonReader& body, const ToolRequest& tools, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults, std::span<const engine::TokenId> prompt);

}  // namespace rafter::protocols
