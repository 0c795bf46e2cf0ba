// What a request says of its answers, however its API or its caller says it: how they are read, what they must keep to, and what that asks
// of the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "grammar/grammar.h"
#include "protocols/answers/answer_parser.h"
#include "protocols/function_tools.h"
#include "protocols/openai_request.h"
#include "protocols/structured_output.h"

namespace rafter::protocols {

struct AnswerWishes {
    std::optional<ToolRequest> tools = {};             // of a chat; none: the text is the answer, thoughts and all
    std::optional<std::uint32_t> thought_tokens = {};  // a thought's limit; none: no limit
    std::optional<OutputForm> form = {};               // of the answer
};
struct AnswerTerms {
    std::shared_ptr<const AnswerRules> rules;  // null: the text is the answer
    std::optional<grammar::Grammar> grammar;   // that the answer must keep to
};
// Sets what the engine must know: forced tokens, shown tokens and the mask. where: of the request, for messages; may be empty. prompt: of
// the first choice. Fails on what cannot be compiled, and on names of parsers that are none.
[[nodiscard]] Result<AnswerTerms> set_answer_terms(engine::Request& sequence, const std::string& where, AnswerWishes wishes,
                                                   const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                                                   std::span<const engine::TokenId> prompt);

}  // namespace rafter::protocols
