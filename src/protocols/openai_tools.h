// Functions that a request's answer may call: "tools", "tool_choice", "parallel_tool_calls", and how they come into the prompt.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "protocols/answers/answer_format.h"
#include "protocols/answers/answer_parser.h"
#include "protocols/ordered_body.h"
#include "text/chat_template.h"

namespace rafter::protocols {

struct FunctionTool {
    std::string name;
    nlohmann::ordered_json parameters;  // a JSON schema of an object, with its keys in the client's order
    nlohmann::ordered_json definition;  // {"type": "function", "function": {"name", "description", "parameters"}}, for templates
};

enum class ToolChoice {
    kAuto,
    kNone,      // the answer is text, and the prompt has no tools
    kRequired,  // the answer is at least one call
    kNamed,     // the answer is one call, of `named`
};

struct ToolRequest {
    std::vector<FunctionTool> tools;  // with kNone too
    ToolChoice choice = ToolChoice::kAuto;
    std::string named;
    bool parallel = true;  // several calls in one answer

    // Those that the answer may call.
    [[nodiscard]] std::vector<FunctionTool> callable() const;
};

// nested: {"type": "function", "function": {"name": ...}}, as chats have it. Otherwise {"type": "function", "name": ...}, as responses do.
struct ToolSyntax {
    bool nested = true;
};
[[nodiscard]] Result<ToolRequest> read_tools(const JsonReader& body, const BodyText& text, const ToolSyntax& syntax);

// "tool_calls" of an assistant's message, as templates take them: arguments are objects.
[[nodiscard]] Result<nlohmann::ordered_json> read_tool_calls(const JsonReader& message);

// The same chat in the words of the model's template. Where the template knows no tools, the system message says which functions there
// are and how to call them, and earlier calls and their results become text.
[[nodiscard]] text::ChatTemplateInput fit_to_template(const engine::OpenedModel& opened, text::ChatTemplateInput input);
// Calls' arguments as text, for templates that want them so.
[[nodiscard]] text::ChatTemplateInput with_text_arguments(text::ChatTemplateInput input);

// How the answers are read. prompt: of the first choice. Fails on names of parsers that are none.
[[nodiscard]] Result<AnswerRules> answer_rules(const engine::OpenedModel& opened, const AnswerFormatNames& names, const ToolRequest& tools,
                                               std::span<const text::TokenId> prompt);

// Of call `index` of choice `choice`: nine letters and digits, as some templates want them. Equal for equal arguments.
[[nodiscard]] std::string call_id(std::string_view answer_id, std::size_t choice, std::uint32_t index);

}  // namespace rafter::protocols
