// What Anthropic's requests make a prompt of: system, messages of blocks, tools and thinking, as a chat template takes them.
// https://docs.anthropic.com/en/api/messages
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json_reader.h"
#include "base/result.h"
#include "protocols/function_tools.h"
#include "protocols/ordered_body.h"
#include "text/chat_template.h"

namespace rafter::protocols {

struct AnthropicChat {
    text::ChatTemplateInput input;
    ToolRequest tools;
    std::optional<std::uint32_t> thought_tokens;  // at most; none: as many as the model takes
};
// Reads the keys in parameters::kOfAnthropicPrompt but for the model. Blocks that are no text, and tools that a server would run, are
// refused by their types. Cache marks, signatures and redacted thoughts count for nothing. A result that is an error begins with "Error: ",
// as no chat template has a word for it. Successive messages of a role are one. text: of the body, for the order of keys.
[[nodiscard]] Result<AnthropicChat> read_anthropic_chat(const JsonReader& body, const BodyText& text);

}  // namespace rafter::protocols
