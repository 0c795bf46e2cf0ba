// What a request's body says that its answers must keep to: OpenAI's response_format, Anthropic's output_config, vLLM's structured_outputs
// and guided_*, llama.cpp's grammar and json_schema. One of them at most.
#pragma once

#include <optional>

#include "base/json_reader.h"
#include "base/result.h"
#include "grammar/grammar.h"
#include "grammar/grammar_compiler.h"
#include "protocols/openai_tools.h"
#include "protocols/ordered_body.h"

namespace rafter::protocols {

struct OutputForm {
    std::string key;  // that says it: "response_format"
    grammar::Grammar grammar;
};
// Of a chat or a completion. None: anything may come.
[[nodiscard]] Result<std::optional<OutputForm>> read_output_form(const JsonReader& body, const BodyText& text);
// Of a response: text.format.
[[nodiscard]] Result<std::optional<OutputForm>> read_text_format(const JsonReader& body, const BodyText& text);
// Of a message: output_config.format, or output_format in its older place.
[[nodiscard]] Result<std::optional<OutputForm>> read_message_format(const JsonReader& body, const BodyText& text);

// What every sequence of a request must keep to.
struct Constraint {
    std::optional<grammar::Grammar> grammar;
    std::shared_ptr<engine::PendingMask> mask;  // of the grammar; null: none
};
struct ConstraintOptions {
    grammar::GrammarCompiler* compiler = nullptr;  // null: nothing can be constrained
    bool waits = false;                            // until the mask is compiled
};
// "body: tool_choice"; without a place around it, the key alone.
[[nodiscard]] std::string place_within(const std::string& where, const std::string& key);
// form: constrains the answer and not its thought, and leaves calls of functions possible where the model may choose them. of_choice: of a
// tool_choice. where: of the request.
[[nodiscard]] Result<Constraint> constrain(const std::string& where, const AnswerRules* rules, const ToolRequest& tools,
                                           std::optional<OutputForm> form, std::optional<grammar::Grammar> of_choice,
                                           const text::Tokenizer& tokenizer, const ConstraintOptions& options);

}  // namespace rafter::protocols
