// A thought of bounded length: what the engine forces into an answer when a thought has used up its tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/sampling/forced_tokens.h"
#include "protocols/answers/answer_parser.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

// The thought begins by force where the prompt has not begun it, so that its end has a meaning; nothing is forced where the prompt has
// ended it, or the model has none. A closing sentence comes before the end, unless the budget is 0. The end of a
// thought is a token of the model or several.
[[nodiscard]] std::vector<engine::ForcedTokens> thought_budget(const AnswerRules& rules, std::uint32_t n_tokens,
                                                               const text::Tokenizer& tokenizer);

}  // namespace rafter::protocols
