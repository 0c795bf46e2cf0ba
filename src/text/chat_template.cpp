// Chat templates over the interpreter in jinja/: names the variables as Hugging Face transformers does.
#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>
#include <vector>

#include "text/default_templates.h"
#include "text/hf/json_tokenizer.h"
#include "text/hf/special_tokens.h"
#include "text/jinja/parse/parser.h"
#include "text/jinja/run/render.h"
#include "text/vocabulary.h"

namespace rafter::text {

namespace {

using Json = nlohmann::ordered_json;

// The names that transformers gives to special tokens, and where GGUF keeps their ids.
constexpr std::array<std::pair<const char*, std::string_view>, 6> kSpecialTokens = {{
    {"bos_token", "tokenizer.ggml.bos_token_id"},
    {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"},
    {"pad_token", "tokenizer.ggml.padding_token_id"},
    {"sep_token", "tokenizer.ggml.seperator_token_id"},  // GGUF's spelling
    {"mask_token", "tokenizer.ggml.mask_token_id"},
}};

Result<Json> special_tokens(const files::Metadata& metadata, const std::vector<std::string_view>& tokens) {
    Json found = Json::object();
    if (const auto config_text = metadata.find_string(hf::kTokenizerConfigKey); config_text && *config_text) {
        RAFTER_TRY(const hf::TokenizerConfig config, hf::read_tokenizer_config(**config_text));
        for (const auto& [name, token] : config.tokens) found[name] = token;
    }
    for (const auto& [name, key] : kSpecialTokens) {
        RAFTER_TRY(const auto id, find_token_id(metadata, key, tokens.size()));
        if (id) found[name] = std::string(tokens[static_cast<std::size_t>(*id)]);
    }
    return found;
}

// The text of a message's content, which is a text or a list of parts.
std::string text_of(const Json& message) {
    const Json content = message.value("content", Json());
    if (content.is_string()) return content.get<std::string>();
    std::string text;
    if (!content.is_array()) return text;
    for (const Json& part : content) {
        if (part.is_object() && part.value("text", Json()).is_string()) text += part["text"].get<std::string>();
    }
    return text;
}

bool has_role(const Json& message, std::initializer_list<std::string_view> roles) {
    if (!message.is_object() || !message.value("role", Json()).is_string()) return false;
    return std::find(roles.begin(), roles.end(), message["role"].get<std::string>()) != roles.end();
}

// The messages with the text of the leading system messages before that of the first user message; none where either is missing.
std::optional<Json> without_system(const Json& messages) {
    const auto is_other = [](const Json& message) { return !has_role(message, {"system", "developer"}); };
    const auto first = std::find_if(messages.begin(), messages.end(), is_other);
    const auto user = std::find_if(first, messages.end(), [](const Json& message) { return has_role(message, {"user"}); });
    if (first == messages.begin() || user == messages.end()) return std::nullopt;
    std::string system;
    for (auto message = messages.begin(); message != first; ++message) system += text_of(*message) + "\n\n";
    Json moved = Json::array();
    for (auto message = first; message != messages.end(); ++message) {
        moved.push_back(*message);
        if (message != user) continue;
        Json& content = moved.back()["content"];
        if (content.is_array()) {
            content.insert(content.begin(), Json{{"type", "text"}, {"text", system}});
        } else {
            content = system + text_of(*message);
        }
    }
    return moved;
}

}  // namespace

struct ChatTemplate::State {
    using Parsed = Result<std::unique_ptr<jinja::Template>>;

    std::string name;
    std::string source;
    Parsed parsed = std::unique_ptr<jinja::Template>();     // or why it is not
    Parsed for_tools = std::unique_ptr<jinja::Template>();  // null when there is none of its own
    Json tokens = Json::object();                           // variables that input.variables may replace
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string_view name) {
    auto state = std::make_unique<State>();
    state->name = name;
    state->source = source;
    state->parsed = jinja::parse_template(std::move(source), name);
    if (!state->parsed) return state->parsed.error();
    return ChatTemplate(std::move(state));
}

Result<ChatTemplate> ChatTemplate::load(const files::Metadata& metadata, const NamedTemplate& replacement) {
    RAFTER_TRY(ChatTemplate made, parse(replacement.source, replacement.name));
    RAFTER_TRY(const auto tokens, metadata.find_strings("tokenizer.ggml.tokens"));
    RAFTER_TRY(made.state_->tokens, special_tokens(metadata, tokens.value_or(std::vector<std::string_view>())));
    return made;
}

Result<ChatTemplate> ChatTemplate::load(const files::Metadata& metadata) {
    RAFTER_TRY(const auto architecture, metadata.find_string("general.architecture"));
    RAFTER_TRY(const auto own, metadata.find_string("tokenizer.chat_template"));
    RAFTER_TRY(const auto for_tools, metadata.find_string("tokenizer.chat_template.tool_use"));
    RAFTER_TRY(const auto found_tokens, metadata.find_strings("tokenizer.ggml.tokens"));
    const std::vector<std::string_view> tokens = found_tokens.value_or(std::vector<std::string_view>());

    auto state = std::make_unique<State>();
    RAFTER_TRY(state->tokens, special_tokens(metadata, tokens));
    state->name = "chat template";
    if (own) {
        state->source = *own;
        state->parsed = jinja::parse_template(std::string(*own), state->name);
        if (!state->parsed) {
            const Error& error = state->parsed.error();
            state->parsed = Error{error.message + " (--chat-template FILE replaces the template)", error.kind};
        }
    } else {
        const auto has_token = [&](std::string_view text) { return std::find(tokens.begin(), tokens.end(), text) != tokens.end(); };
        const DefaultTemplate& made = default_chat_template(architecture.value_or(""), has_token);
        state->name = fmt::format("built-in {} template", made.name);
        state->source = made.source;
        state->parsed = jinja::parse_template(std::string(made.source), state->name);
    }
    if (for_tools) {
        state->source += "\n" + std::string(*for_tools);
        state->for_tools = jinja::parse_template(std::string(*for_tools), "chat template for tools");
    }
    return ChatTemplate(std::move(state));
}

const std::string& ChatTemplate::source() const { return state_->source; }

const std::string& ChatTemplate::name() const { return state_->name; }

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
    if (!input.messages.is_array()) return bad_input("messages: expected a JSON array, found {}", input.messages.type_name());
    if (!input.tools.is_array() && !input.tools.is_null())
        return bad_input("tools: expected a JSON array, found {}", input.tools.type_name());
    if (!input.variables.is_object()) return bad_input("variables: expected a JSON object, found {}", input.variables.type_name());
    const Json add_generation_prompt = input.add_generation_prompt;
    const Json no_documents;
    // What is not given is none, not undefined: transformers passes all of these always.
    jinja::Variables variables = {
        {"documents", &no_documents},
        {"messages", &input.messages},
        {"tools", &input.tools},
        {"add_generation_prompt", &add_generation_prompt},
    };
    for (const auto& [name, value] : state_->tokens.items()) variables.emplace_back(name, &value);
    constexpr std::array<std::string_view, 3> kOwn = {"messages", "tools", "add_generation_prompt"};
    for (const auto& [name, value] : input.variables.items()) {
        if (std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end()) return bad_input("variables: '{}' has a field of its own", name);
        variables.emplace_back(name, &value);
    }
    const bool has_one_for_tools = !state_->for_tools || *state_->for_tools != nullptr;
    const State::Parsed& chosen = !input.tools.empty() && has_one_for_tools ? state_->for_tools : state_->parsed;
    if (!chosen) return chosen.error();
    return jinja::render(**chosen, variables, {.now = input.now});
}

Result<RenderedChat> ChatTemplate::render_any_system(const ChatTemplateInput& input) const {
    auto rendered = render(input);
    if (rendered) return RenderedChat{.text = *std::move(rendered)};
    if (!input.messages.is_array() || !state_->parsed) return rendered.error();
    auto moved = without_system(input.messages);
    if (!moved) return rendered.error();
    ChatTemplateInput again = input;
    again.messages = *std::move(moved);
    auto second = render(again);
    if (!second) return rendered.error();
    return RenderedChat{.text = *std::move(second), .system_moved = true};
}

}  // namespace rafter::text
