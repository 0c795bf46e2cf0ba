// Requests without tools to a model without thoughts have no rules: their answers are the text as it comes.
#include "protocols/answer_rules.h"

#include <utility>

#include "protocols/thought_budget.h"
#include "protocols/tool_grammar.h"

namespace rafter::protocols {

Result<AnswerTerms> set_answer_terms(engine::Request& sequence, const std::string& where, AnswerWishes wishes,
                                     const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                                     std::span<const engine::TokenId> prompt) {
    AnswerTerms terms;
    std::optional<grammar::Grammar> of_choice;
    const text::Tokenizer& tokenizer = *opened.tokenizer;
    if (wishes.tools) {
        const ToolRequest& tools = *wishes.tools;
        RAFTER_TRY(AnswerRules rules, answer_rules(opened, defaults.format, tools, prompt));
        if (wishes.thought_tokens) sequence.forced = thought_budget(rules, *wishes.thought_tokens, tokenizer);
        if (tools.choice == ToolChoice::kRequired || tools.choice == ToolChoice::kNamed) {
            RAFTER_TRY(of_choice, tool_choice_grammar(rules, tools, tokenizer, place_within(where, "tool_choice")));
            rules.calls_forced = true;
        }
        sequence.shown_tokens = rules.shown_tokens;
        if (!rules.is_plain()) terms.rules = std::make_shared<const AnswerRules>(std::move(rules));
    }
    RAFTER_TRY(Constraint constraint,
               constrain(where, terms.rules.get(), wishes.tools.value_or(ToolRequest()), std::move(wishes.form), std::move(of_choice),
                         tokenizer, {.compiler = defaults.grammars, .waits = defaults.waits_for_grammars}));
    terms.grammar = std::move(constraint.grammar);
    sequence.mask = std::move(constraint.mask);
    return terms;
}

}  // namespace rafter::protocols
