// From messages, texts and token ids to the tokens of prompts.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "engine/loading/loaded_model.h"
#include "protocols/openai_request.h"
#include "text/chat_template.h"

namespace rafter::protocols {

struct Prompts {
    std::vector<std::vector<engine::TokenId>> tokens;
    std::vector<OpenAiEcho> echoes;
    bool system_moved = false;  // the template takes no system message
};

// "messages", "chat_template_kwargs", "reasoning_effort", "add_generation_prompt". Variables that the template has already are refused.
[[nodiscard]] Result<text::ChatTemplateInput> read_chat(const JsonReader& body);
// where: of the messages, for the template's own errors.
[[nodiscard]] Result<text::RenderedChat> render_chat(const engine::OpenedModel& opened, const text::ChatTemplateInput& input,
                                                     const std::string& where, const OpenAiDefaults& defaults);

// defaults: the limits of a prompt, and its tokens where they are known.
[[nodiscard]] Result<Prompts> chat_prompts(const JsonReader& body, const engine::OpenedModel& opened, const OpenAiDefaults& defaults);
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
// What the message of check_prompt_tokens() has, for the error's code "context_length_exceeded".
inline constexpr std::string_view kTooLong = "the prompt is too long";

}  // namespace rafter::protocols
