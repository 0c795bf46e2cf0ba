// A grammar that lets an answer be nothing but calls of functions: tool_choice "required" or a function's name.
#pragma once

#include <string>

#include "base/result.h"
#include "grammar/grammar.h"
#include "protocols/answers/answer_parser.h"
#include "protocols/openai_tools.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

// A structural tag: a thought where the answer may have one, then at least one call (one alone where calls are not parallel or the
// function is named), each with arguments of its function's schema. Marks that the vocabulary has as control tokens are these tokens.
// Fails where no grammar says the family's notation. where: for messages.
[[nodiscard]] Result<grammar::Grammar> tool_choice_grammar(const AnswerRules& rules, const ToolRequest& tools,
                                                           const text::Tokenizer& tokenizer, const std::string& where);

// The structural tag of an answer that is `content` (a part of a tag), or calls where the model may choose them; a thought may come before.
[[nodiscard]] nlohmann::ordered_json constrained_answer(const AnswerRules& rules, const ToolRequest& tools, nlohmann::ordered_json content,
                                                        const text::Tokenizer& tokenizer);

// The structural tag's JSON `content` with what a thought may be before it, where the answer may have one: to constrain the answer and not
// its thought.
[[nodiscard]] nlohmann::ordered_json after_thought(const AnswerRules& rules, nlohmann::ordered_json content,
                                                   const text::Tokenizer& tokenizer);

}  // namespace rafter::protocols
