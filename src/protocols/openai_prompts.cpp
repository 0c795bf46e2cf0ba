// What is too long is refused before it is copied, tokenised or rendered again.
#include "protocols/openai_prompts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/ranges.h>

#include "base/quote.h"
#include "engine/conversation.h"
#include "protocols/openai_error.h"
#include "protocols/openai_parameters.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;

// Names that templates call or that the interpreter and transformers set: a client must not replace them.
constexpr std::array<std::string_view, 23> kReserved = {"messages",
                                                        "tools",
                                                        "documents",
                                                        "add_generation_prompt",
                                                        "bos_token",
                                                        "eos_token",
                                                        "unk_token",
                                                        "pad_token",
                                                        "sep_token",
                                                        "mask_token",
                                                        "raise_exception",
                                                        "strftime_now",
                                                        "namespace",
                                                        "range",
                                                        "dict",
                                                        "loop",
                                                        "self",
                                                        "caller",
                                                        "varargs",
                                                        "kwargs",
                                                        "chat_template",
                                                        "tokenize",
                                                        "tokenizer"};
constexpr std::size_t kMaxVariableName = 64;

bool is_variable_name(std::string_view name) {
    const bool is_word =
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string_view::npos;
    return is_word && !name.empty() && name.size() <= kMaxVariableName;
}

Result<nlohmann::ordered_json> read_message(const JsonReader& message) {
    RAFTER_TRY(std::string role, read_role(message, ToolRole::kTaken));
    for (const char* key : {"function_call", "audio"}) {
        const nlohmann::json* value = message.find(key);
        if (value != nullptr && !says_nothing(*value)) return not_supported(message, key, *value);
    }
    nlohmann::ordered_json made{{"role", role}, {"content", ""}};
    bool may_lack_content = false;
    if (role == "assistant") {
        RAFTER_TRY(auto calls, read_tool_calls(message));
        RAFTER_TRY(const auto thought, message.find_string("reasoning_content"));
        RAFTER_TRY(const auto other_thought, message.find_string("reasoning"));
        if (thought || other_thought) made["reasoning_content"] = thought ? *thought : *other_thought;
        may_lack_content = !calls.empty() || made.contains("reasoning_content");
        if (!calls.empty()) made["tool_calls"] = std::move(calls);
    } else if (const nlohmann::json* calls = message.find("tool_calls"); calls != nullptr && !says_nothing(*calls)) {
        return bad_input("{}: tool_calls: expected no such key in a message of the role {}, found {}", message.where(), role,
                         shown_json(*calls));
    }
    if (role == "tool") {
        RAFTER_TRY(const auto id, message.find_string("tool_call_id"));
        RAFTER_TRY(const auto name, message.find_string("name"));
        if (!id) return bad_input("{}: tool_call_id: expected the id of a call, found no such key", message.where());
        made["tool_call_id"] = *id;
        if (name) made["name"] = *name;
    }
    constexpr std::array<std::string_view, 1> kPartTypes = {"text"};
    if (may_lack_content && message.find("content") == nullptr) return made;
    RAFTER_TRY(made["content"], read_content(message, kPartTypes));
    return made;
}

std::string_view without_blanks(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t begin = std::min(text.find_first_not_of(kBlank), text.size());
    return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

// Tokens before the first message that is not the system's. Where a template changes texts, those before the last text that it kept.
std::uint32_t count_system_tokens(const text::Tokenizer& tokenizer, const text::ChatTemplateInput& input, std::string_view rendered,
                                  std::span<const TokenId> tokens) {
    std::size_t n_bytes = 0;
    for (const auto& message : input.messages) {
        const std::string_view content = without_blanks(message["content"].get_ref<const std::string&>());
        const std::size_t at = rendered.find(content, n_bytes);
        if (content.empty() || at == std::string_view::npos) break;
        const bool is_system = message["role"] == "system";
        n_bytes = is_system ? at + content.size() : at;
        if (!is_system) break;
    }
    std::uint32_t n = 0;
    for (std::size_t end = 0; n < tokens.size(); ++n) {
        end += tokenizer.piece(tokens[n], text::SpecialTokens::kParse).size();
        if (end > n_bytes) break;
    }
    return n;
}

Result<std::vector<TokenId>> token_prompt(const nlohmann::json& list, std::size_t n_vocab, const std::string& where) {
    std::vector<TokenId> tokens;
    tokens.reserve(list.size());
    for (const nlohmann::json& id : list) {
        const double token = id.is_number() ? id.get<double>() : -1.0;
        if (!(token >= 0 && token < static_cast<double>(n_vocab)) || token != std::floor(token)) {
            return bad_input("{}: expected token ids from 0 to {}, found {}", where, n_vocab - 1, shown_json(id));
        }
        tokens.push_back(static_cast<TokenId>(token));
    }
    if (tokens.empty()) return bad_input("{}: expected at least one token, found none", where);
    return tokens;
}

}  // namespace

void name_results(nlohmann::ordered_json& messages) {
    std::map<std::string, std::string> names;  // by the ids of calls
    for (nlohmann::ordered_json& message : messages) {
        if (message.contains("tool_calls")) {
            for (const nlohmann::ordered_json& call : message["tool_calls"]) names[call["id"]] = call["function"]["name"];
        }
        if (message["role"] != "tool" || message.contains("name")) continue;
        const auto found = names.find(message["tool_call_id"]);
        if (found != names.end()) message["name"] = found->second;
    }
}

Result<void> check_prompt_bytes(std::size_t size, const OpenAiDefaults& defaults, const std::string& where) {
    if (!defaults.max_prompt_bytes || size <= *defaults.max_prompt_bytes) return {};
    return bad_input("{}: {}: expected a text of at most {} bytes, found {}", where, kTooLongWords, *defaults.max_prompt_bytes, size);
}

Result<void> check_prompt_tokens(std::size_t size, const OpenAiDefaults& defaults, const std::string& where) {
    if (!defaults.context || size <= *defaults.context) return {};
    return bad_input("{}: {}: expected at most {} tokens in a context of {}, found {}", where, kTooLongWords, *defaults.context,
                     *defaults.context, size);
}

Result<std::string> read_content(const JsonReader& message, std::span<const std::string_view> part_types) {
    const nlohmann::json* content = message.find("content");
    if (content == nullptr) return bad_input("{}: content: expected a text or a list of parts, found no such key", message.where());
    if (content->is_string()) return content->get<std::string>();
    if (!content->is_array()) {
        return bad_input("{}: content: expected a text or a list of parts, found {}", message.where(), shown_json(*content));
    }
    std::string text;
    for (std::size_t i = 0; i < content->size(); ++i) {
        RAFTER_TRY(const JsonReader part, JsonReader::open((*content)[i], fmt::format("{}: content[{}]", message.where(), i)));
        const nlohmann::json* type = part.find("type");
        const bool is_known = type != nullptr && type->is_string() &&
                              std::ranges::find(part_types, std::string_view(type->get_ref<const std::string&>())) != part_types.end();
        if (!is_known) {
            return not_supported(part, "type", type == nullptr ? nlohmann::json() : *type,
                                 fmt::format("\"{}\"", fmt::join(part_types, "\" or \"")));
        }
        RAFTER_TRY(const auto piece, part.find_string("text"));
        if (!piece) return bad_input("{}: text: expected a text, found no such key", part.where());
        if (i > 0) text += '\n';
        text += *piece;
    }
    return text;
}

Result<std::string> read_role(const JsonReader& message, ToolRole tool) {
    RAFTER_TRY(const auto role, message.find_string("role"));
    constexpr std::array<std::string_view, 4> kRoles = {"system", "developer", "user", "assistant"};
    const bool is_tool = tool == ToolRole::kTaken && role == "tool";
    if (!role || (!is_tool && std::find(kRoles.begin(), kRoles.end(), *role) == kRoles.end())) {
        return bad_input("{}: role: expected system, developer, user{}, found {}", message.where(),
                         tool == ToolRole::kTaken ? ", assistant or tool" : " or assistant", role ? quote(*role) : "no such key");
    }
    return *role == "developer" ? "system" : *role;
}

Result<void> read_template_variables(const JsonReader& body, text::ChatTemplateInput& input) {
    RAFTER_TRY(const auto effort, read_text(body, parameters::kReasoningEffort));
    if (effort) input.variables["reasoning_effort"] = *effort;
    RAFTER_TRY(const auto thinks, read_bool(body, parameters::kEnableThinking));
    // Two names that templates give to it.
    if (thinks) input.variables["enable_thinking"] = input.variables["thinking"] = *thinks;
    RAFTER_TRY(const auto variables, body.find_object(parameters::kChatTemplateKwargs.name));
    if (!variables) return {};
    for (const std::string& key : variables->unknown_keys()) {
        if (std::find(kReserved.begin(), kReserved.end(), key) != kReserved.end() || !is_variable_name(key)) {
            return bad_input("{}: expected names of variables that the template does not have already, found {}", variables->where(),
                             quote(key));
        }
        const nlohmann::json* value = variables->find(key);
        input.variables[key] = value == nullptr ? nlohmann::ordered_json() : nlohmann::ordered_json(*value);
    }
    return {};
}

Result<ChatBody> read_chat(const JsonReader& body, const BodyText& text) {
    const nlohmann::json* messages = body.find(parameters::kMessages.name);
    if (messages == nullptr || !messages->is_array() || messages->empty()) {
        return bad_input("{}: messages: expected a list of at least one message, found {}", body.where(),
                         messages == nullptr ? "no such key" : shown_json(*messages));
    }
    ChatBody chat;
    text::ChatTemplateInput& input = chat.input;
    for (std::size_t i = 0; i < messages->size(); ++i) {
        RAFTER_TRY(const JsonReader message, JsonReader::open((*messages)[i], fmt::format("{}: messages[{}]", body.where(), i)));
        RAFTER_TRY(auto read, read_message(message));
        input.messages.push_back(std::move(read));
    }
    name_results(input.messages);
    RAFTER_TRY(chat.tools, read_tools(body, text, {}));
    if (chat.tools.choice != ToolChoice::kNone) {
        for (const FunctionTool& tool : chat.tools.tools) input.tools.push_back(tool.definition);
    }
    RAFTER_TRY_VOID(read_template_variables(body, input));
    RAFTER_TRY(const auto add_generation_prompt, read_bool(body, parameters::kAddGenerationPrompt));
    input.add_generation_prompt = add_generation_prompt.value_or(true);
    return chat;
}

Result<text::RenderedChat> render_chat(const engine::OpenedModel& opened, const text::ChatTemplateInput& input, const std::string& where,
                                       const OpenAiDefaults& defaults) {
    std::size_t n_bytes = 0;
    for (const auto& message : input.messages) n_bytes += message["content"].get_ref<const std::string&>().size();
    RAFTER_TRY_VOID(check_prompt_bytes(n_bytes, defaults, where));
    const text::ChatTemplateInput fitted = fit_to_template(opened, input);
    auto prompt = opened.chat_template.render_any_system(fitted);
    if (!prompt) {
        // A template that joins arguments with other texts wants them as text.
        const auto has_calls = [](const nlohmann::ordered_json& message) { return message.contains("tool_calls"); };
        if (!std::ranges::any_of(fitted.messages, has_calls)) return prompt.error().within(where);
        auto again = opened.chat_template.render_any_system(with_text_arguments(fitted));
        if (!again) return prompt.error().within(where);
        prompt = std::move(again);
    }
    RAFTER_TRY_VOID(check_prompt_bytes(prompt->text.size(), defaults, where));
    return prompt;
}

Result<ChatPrompt> chat_prompt(const engine::OpenedModel& opened, const text::ChatTemplateInput& input, const std::string& where,
                               const OpenAiDefaults& defaults, bool add_special_tokens) {
    RAFTER_TRY(const text::RenderedChat rendered, render_chat(opened, input, where, defaults));
    ChatPrompt prompt{.tokens = opened.tokenizer->encode(rendered.text, text::SpecialTokens::kParse),
                      .system_moved = rendered.system_moved};
    const text::SpecialIds& special = opened.tokenizer->special();
    if (add_special_tokens && special.add_bos && special.bos) prompt.tokens.insert(prompt.tokens.begin(), *special.bos);
    if (prompt.tokens.empty()) return bad_input("{}: expected at least one token, found none", where);
    RAFTER_TRY_VOID(check_prompt_tokens(prompt.tokens.size(), defaults, where));
    prompt.n_system_tokens = count_system_tokens(*opened.tokenizer, input, rendered.text, prompt.tokens);
    return prompt;
}

Result<Prompts> chat_prompts(const JsonReader& body, const text::ChatTemplateInput& input, const engine::OpenedModel& opened,
                             const OpenAiDefaults& defaults) {
    RAFTER_TRY(const auto add_special, read_bool(body, parameters::kAddSpecialTokens));
    if (defaults.prompts != nullptr) return Prompts{.tokens = *defaults.prompts};
    RAFTER_TRY(ChatPrompt prompt, chat_prompt(opened, input, body.where() + ": messages", defaults, add_special.value_or(false)));
    return Prompts{
        .tokens = {std::move(prompt.tokens)}, .echoes = {}, .system_moved = prompt.system_moved, .n_system_tokens = prompt.n_system_tokens};
}

Result<std::vector<nlohmann::json>> list_of_prompts(const JsonReader& body, const std::string& key) {
    const nlohmann::json* prompt = body.find(key);
    const std::string where = fmt::format("{}: {}", body.where(), key);
    if (prompt == nullptr) return bad_input("{}: expected a text or token ids, found no such key", where);
    const bool is_list = prompt->is_array() && (prompt->empty() || !prompt->front().is_number());
    if (is_list && prompt->empty()) return bad_input("{}: expected at least one prompt, found []", where);
    if (is_list && prompt->size() > kMaxChoices) {
        return bad_input("{}: expected at most {} prompts, found {}", where, kMaxChoices, prompt->size());
    }
    const std::vector<nlohmann::json> list = is_list ? prompt->get<std::vector<nlohmann::json>>() : std::vector<nlohmann::json>{*prompt};
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i].is_string() || list[i].is_array()) continue;
        return bad_input("{}: expected a text or token ids, found {}", is_list ? fmt::format("{}[{}]", where, i) : where,
                         shown_json(list[i]));
    }
    return list;
}

Result<std::vector<TokenId>> prompt_tokens(const nlohmann::json& prompt, const engine::OpenedModel& opened, const OpenAiDefaults& defaults,
                                           const std::string& where, bool add_special_tokens) {
    Result<std::vector<TokenId>> tokens = std::vector<TokenId>();
    if (prompt.is_string()) {
        const auto& text = prompt.get_ref<const std::string&>();
        RAFTER_TRY_VOID(check_prompt_bytes(text.size(), defaults, where));
        tokens = add_special_tokens ? engine::encode_prompt(opened, text) : opened.tokenizer->encode(text, text::SpecialTokens::kParse);
        if (!tokens) return tokens.error().within(where);
        if (tokens->empty()) return bad_input("{}: expected at least one token, found none", where);
    } else {
        RAFTER_TRY_VOID(check_prompt_tokens(prompt.size(), defaults, where));
        tokens = token_prompt(prompt, opened.config.n_vocab, where);
        if (!tokens) return tokens.error();
    }
    RAFTER_TRY_VOID(check_prompt_tokens(tokens->size(), defaults, where));
    return tokens;
}

Result<Prompts> completion_prompts(const JsonReader& body, const engine::OpenedModel& opened, const OpenAiDefaults& defaults, bool echo) {
    RAFTER_TRY(const std::vector<nlohmann::json> list, list_of_prompts(body, parameters::kPrompt.name));
    RAFTER_TRY(const auto add_special, read_bool(body, parameters::kAddSpecialTokens));
    const nlohmann::json& given = *body.find(parameters::kPrompt.name);
    const bool is_list = list.size() > 1 || (given.is_array() && !given.front().is_number());
    Prompts prompts;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string where = body.where() + (is_list ? fmt::format(": prompt[{}]", i) : ": prompt");
        std::vector<TokenId> tokens;
        if (defaults.prompts != nullptr) {
            tokens = defaults.prompts->at(i);
        } else {
            RAFTER_TRY(tokens, prompt_tokens(list[i], opened, defaults, where, add_special.value_or(true)));
        }
        const auto has_text = [&](TokenId id) { return static_cast<std::size_t>(id) < opened.tokenizer->n_tokens(); };
        if (echo && !std::ranges::all_of(tokens, has_text)) {
            return bad_input("{}: expected token ids from 0 to {}, which have texts to echo, found others", where,
                             opened.tokenizer->n_tokens() - 1);
        }
        if (echo && list[i].is_string()) {
            prompts.echoes.push_back({.text = list[i].get<std::string>(), .shown = text::SpecialTokens::kParse, .tokens = {}});
        } else if (echo) {
            prompts.echoes.push_back({.text = opened.tokenizer->decode(tokens, text::SpecialTokens::kAsText), .tokens = {}});
        }
        prompts.tokens.push_back(std::move(tokens));
    }
    return prompts;
}

}  // namespace rafter::protocols
