// Functions that a request's answer may call, however its API says them: what they become in the prompt, and how calls of them are read.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "protocols/answers/answer_format.h"
#include "protocols/answers/answer_parser.h"
#include "text/chat_template.h"

namespace rafter::protocols {

inline constexpr std::size_t kMaxTools = 512;
inline constexpr std::size_t kMaxFunctionName = 64;    // OpenAI's, and Ollama's here
inline constexpr std::size_t kMaxAnthropicName = 128;  // of a tool
inline constexpr std::size_t kMaxCalls = 512;          // of one message

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

// How an API says a function.
struct FunctionSyntax {
    const char* parameters = "parameters";  // the key of its JSON schema
    std::size_t max_name = kMaxFunctionName;
};
// "name" of an object: 1 to max_length letters, digits, "_", "-" or ".".
[[nodiscard]] Result<std::string> read_function_name(const JsonReader& function, std::size_t max_length = kMaxFunctionName);
// A function of that object: its name, its "description", and its parameters, which may be missing. ordered: the same object with its keys
// in the client's order.
[[nodiscard]] Result<FunctionTool> read_function(const JsonReader& function, const nlohmann::ordered_json& ordered,
                                                 const FunctionSyntax& syntax = {});
// Fails on more than kMaxTools. where: of the list.
[[nodiscard]] Result<void> check_tool_list(const nlohmann::json& list, const std::string& where);
// Fails where a name stands twice. where: of the list.
[[nodiscard]] Result<void> check_tool_names(const std::vector<FunctionTool>& tools, const std::string& where);
// What "required" and names need: tools, and the name to be one of them. where: of the choice.
[[nodiscard]] Result<void> check_choice(const ToolRequest& request, const std::string& where);

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
