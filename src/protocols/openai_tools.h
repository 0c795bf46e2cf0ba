// "tools", "tool_choice", "parallel_tool_calls" and "tool_calls", as OpenAI's requests say them.
#pragma once

#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "base/result.h"
#include "protocols/function_tools.h"
#include "protocols/ordered_body.h"

namespace rafter::protocols {

// nested: {"type": "function", "function": {"name": ...}}, as chats have it. Otherwise {"type": "function", "name": ...}, as responses do.
struct ToolSyntax {
    bool nested = true;
};
[[nodiscard]] Result<ToolRequest> read_tools(const JsonReader& body, const BodyText& text, const ToolSyntax& syntax);

// "tool_calls" of an assistant's message, as templates take them: arguments are objects.
[[nodiscard]] Result<nlohmann::ordered_json> read_tool_calls(const JsonReader& message);

}  // namespace rafter::protocols
