// Chat templates over the interpreter in jinja/: names the variables as Hugging Face transformers does.
#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "text/default_templates.h"
#include "text/jinja/parser.h"
#include "text/jinja/render.h"

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
    for (const auto& [name, key] : kSpecialTokens) {
        RAFTER_TRY(const auto id, metadata.find_uint(key));
        if (!id || tokens.empty()) continue;
        if (*id >= tokens.size()) return bad_input("{}: expected an id below {}, found {}", key, tokens.size(), *id);
        found[name] = std::string(tokens[*id]);
    }
    return found;
}

}  // namespace

struct ChatTemplate::State {
    std::unique_ptr<const jinja::Template> parsed;
    std::unique_ptr<const jinja::Template> parsed_for_tools;  // null when there is none of its own
    Json tokens = Json::object();                             // variables that input.variables may replace
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string_view name) {
    auto state = std::make_unique<State>();
    RAFTER_TRY(state->parsed, jinja::parse_template(std::move(source), name));
    return ChatTemplate(std::move(state));
}

Result<ChatTemplate> ChatTemplate::load(const files::Metadata& metadata) {
    RAFTER_TRY(const auto architecture, metadata.find_string("general.architecture"));
    RAFTER_TRY(const auto own, metadata.find_string("tokenizer.chat_template"));
    RAFTER_TRY(const auto for_tools, metadata.find_string("tokenizer.chat_template.tool_use"));
    RAFTER_TRY(const auto found_tokens, metadata.find_strings("tokenizer.ggml.tokens"));
    const std::vector<std::string_view> tokens = found_tokens.value_or(std::vector<std::string_view>());

    auto state = std::make_unique<State>();
    RAFTER_TRY(state->tokens, special_tokens(metadata, tokens));
    if (own) {
        RAFTER_TRY(state->parsed, jinja::parse_template(std::string(*own), "chat template"));
    } else {
        const auto has_token = [&](std::string_view text) { return std::find(tokens.begin(), tokens.end(), text) != tokens.end(); };
        const DefaultTemplate& made = default_chat_template(architecture.value_or(""), has_token);
        RAFTER_TRY(state->parsed, jinja::parse_template(std::string(made.source), fmt::format("default chat template {}", made.name)));
    }
    if (for_tools) {
        RAFTER_TRY(state->parsed_for_tools, jinja::parse_template(std::string(*for_tools), "chat template for tools"));
    }
    return ChatTemplate(std::move(state));
}

const std::string& ChatTemplate::source() const { return state_->parsed->source; }
const std::string& ChatTemplate::name() const { return state_->parsed->name; }

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
    const bool with_tools = !input.tools.empty() && state_->parsed_for_tools != nullptr;
    return jinja::render(with_tools ? *state_->parsed_for_tools : *state_->parsed, variables, {.now = input.now});
}

}  // namespace rafter::text
