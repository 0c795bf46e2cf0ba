// Requests without tools to a model without thoughts have no rules: their answers are the text as it comes.
#include "protocols/answer_rules.h"

#include "protocols/openai_parameters.h"
#include "protocols/thought_budget.h"
#include "protocols/tool_grammar.h"

namespace rafter::protocols {

Result<ReadRules> make_rules(const std::string& where, const ToolRequest& tools, std::optional<std::uint32_t> thought_tokens,
                             const engine::OpenedModel& opened, const OpenAiDefaults& defaults, std::span<const engine::TokenId> prompt) {
    ReadRules read;
    RAFTER_TRY(AnswerRules rules, answer_rules(opened, defaults.format, tools, prompt));
    if (thought_tokens) read.forced = thought_budget(rules, *thought_tokens, *opened.tokenizer);
    if (tools.choice == ToolChoice::kRequired || tools.choice == ToolChoice::kNamed) {
        RAFTER_TRY(read.grammar, tool_choice_grammar(rules, tools, *opened.tokenizer, where + ": tool_choice"));
    }
    if (!rules.is_plain()) read.rules = std::make_shared<const AnswerRules>(std::move(rules));
    return read;
}

Result<ReadRules> read_rules(const JsonReader& body, const ToolRequest& tools, const engine::OpenedModel& opened,
                             const OpenAiDefaults& defaults, std::span<const engine::TokenId> prompt) {
    RAFTER_TRY(const auto budget, read_whole(body, parameters::kThinkingTokenBudget));
    return make_rules(body.where(), tools, budget, opened, defaults, prompt);
}

}  // namespace rafter::protocols
