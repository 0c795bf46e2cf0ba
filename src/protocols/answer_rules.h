// What a request says of how its answers are read, and what that asks of the engine: for chats and for responses.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/json_reader.h"
#include "engine/loading/loaded_model.h"
#include "grammar/grammar.h"
#include "protocols/openai_request.h"
#include "protocols/openai_tools.h"

namespace rafter::protocols {

struct ReadRules {
    std::shared_ptr<const AnswerRules> rules;  // null: the text is the answer
    std::vector<engine::ForcedTokens> forced;  // "thinking_token_budget"
    std::optional<grammar::Grammar> grammar;   // of a tool_choice that the answer must keep to
};
// prompt: of the first choice.
[[nodiscard]] Result<ReadRules> read_rules(const JsonReader& body, const ToolRequest& tools, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults, std::span<const engine::TokenId> prompt);

}  // namespace rafter::protocols
