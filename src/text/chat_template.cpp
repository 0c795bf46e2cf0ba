// Chat templates over the interpreter in jinja/: names the variables as Hugging Face transformers does.
#include "text/chat_template.h"

#include <array>
#include <utility>

#include "text/jinja/parser.h"
#include "text/jinja/render.h"

namespace rafter::text {

struct ChatTemplate::State {
    std::unique_ptr<const jinja::Template> parsed;
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string_view name) {
    RAFTER_TRY(auto parsed, jinja::parse_template(std::move(source), name));
    return ChatTemplate(std::make_unique<State>(State{std::move(parsed)}));
}

const std::string& ChatTemplate::source() const { return state_->parsed->source; }

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
    const nlohmann::ordered_json add_generation_prompt = input.add_generation_prompt;
    const nlohmann::ordered_json no_documents;
    // Those that are not given are none, not undefined: transformers passes them always.
    jinja::Variables variables = {
        {"messages", &input.messages},
        {"tools", &input.tools},
        {"documents", &no_documents},
        {"add_generation_prompt", &add_generation_prompt},
    };
    if (!input.variables.is_object()) return bad_input("variables: expected a JSON object, found {}", input.variables.type_name());
    constexpr std::array<std::string_view, 3> kOwn = {"messages", "tools", "add_generation_prompt"};
    for (const auto& [name, value] : input.variables.items()) {
        if (std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end()) return bad_input("variables: '{}' is not theirs to set", name);
        variables.emplace_back(name, &value);
    }
    return jinja::render(*state_->parsed, variables, {.now = input.now});
}

}  // namespace rafter::text
