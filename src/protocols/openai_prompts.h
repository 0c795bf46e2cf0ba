// From messages, texts and token ids to the tokens of prompts.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"
#include "engine/loading/loaded_model.h"
#include "protocols/openai_request.h"
#include "protocols/openai_tools.h"
#include "text/chat_template.h"

namespace rafter::protocols {

struct Prompts {
    std::vector<std::vector<engine::TokenId>> tokens;
    std::vector<OpenAiEcho> echoes;
    bool system_moved = false;          // the template takes no system message
    std::uint32_t n_system_tokens = 0;  // of a chat: as ChatPrompt has it
};

struct ChatBody {
    text::ChatTemplateInput input;
    ToolRequest tools;
};
// "messages", "tools", "tool_choice", "chat_template_kwargs", "reasoning_effort", "enable_thinking", "add_generation_prompt". Variables
// that the template has already are refused. text: of the body, for the order of keys.
[[nodiscard]] Result<ChatBody> read_chat(const JsonReader& body, const BodyText& text);
// "chat_template_kwargs", "reasoning_effort" and "enable_thinking" alone.
[[nodiscard]] Result<void> read_template_variables(const JsonReader& body, text::ChatTemplateInput& input);
// A message's content: a text, or a list of parts with a type of these and a text; parts are joined by line ends.
[[nodiscard]] Result<std::string> read_content(const JsonReader& message, std::span<const std::string_view> part_types);
enum class ToolRole { kTaken, kRefused };
// "system", "developer" (as "system": the older name, which templates know), "user", "assistant", or "tool".
[[nodiscard]] Result<std::string> read_role(const JsonReader& message, ToolRole tool);
// Gives results the names of the functions that were called, which some templates write.
void name_results(nlohmann::ordered_json& messages);
// where: of the messages, for the template's own errors.
[[nodiscard]] Result<text::RenderedChat> render_chat(const engine::OpenedModel& opened, const text::ChatTemplateInput& input,
                                                     const std::string& where, const OpenAiDefaults& defaults);

struct ChatPrompt {
    std::vector<engine::TokenId> tokens;
    bool system_moved = false;
    std::uint32_t n_system_tokens = 0;  // about so many come before the conversation: the system prompt, and tools where they stand there
};
// The prompt of a chat that was read, within the limits.
[[nodiscard]] Result<ChatPrompt> chat_prompt(const engine::OpenedModel& opened, const text::ChatTemplateInput& input,
                                             const std::string& where, const OpenAiDefaults& defaults, bool add_special_tokens);

// defaults: the limits of a prompt, and its tokens where they are known.
[[nodiscard]] Result<Prompts> chat_prompts(const JsonReader& body, const text::ChatTemplateInput& input, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults);
[[nodiscard]] Result<Prompts> completion_prompts(const JsonReader& body, const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                                                 bool echo);

// A text or token ids, or a list of either. key: "prompt", "input".
[[nodiscard]] Result<std::vector<nlohmann::json>> list_of_prompts(const JsonReader& body, const std::string& key);
// One of the list.
[[nodiscard]] Result<std::vector<engine::TokenId>> prompt_tokens(const nlohmann::json& prompt, const engine::OpenedModel& opened,
                                                                 const OpenAiDefaults& defaults, const std::string& where,
                                                                 bool add_special_tokens);

// A text that must be tokenised may have so many bytes, and a prompt so many tokens.
[[nodiscard]] Result<void> check_prompt_bytes(std::size_t size, const OpenAiDefaults& defaults, const std::string& where);
[[nodiscard]] Result<void> check_prompt_tokens(std::size_t size, const OpenAiDefaults& defaults, const std::string& where);

}  // namespace rafter::protocols
