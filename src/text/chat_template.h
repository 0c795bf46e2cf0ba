// Chat templates: a list of messages becomes the prompt text that a model was trained on. Templates are Jinja, run by our own interpreter
// in text/jinja/, sandboxed: untrusted input like the rest of a model file.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "files/gguf.h"

namespace rafter::text {

struct ChatTemplateInput {
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();    // [{"role": "user", "content": "..."}]
    nlohmann::ordered_json tools;                                         // array, or null when there are none
    nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // further variables by name: bos_token, enable_thinking, ...
    bool add_generation_prompt = true;
    std::optional<std::tm> now;  // local time, for templates that write the date; the clock's when absent
};

struct NamedTemplate {
    std::string source;
    std::string name;  // for messages
};

struct RenderedChat {
    std::string text;
    bool system_moved = false;  // the template takes no system message
};
inline constexpr std::string_view kSystemMoved = "the chat template takes no system message: its text goes before the first user message";

// Immutable after parse; render may be called from several threads.
class ChatTemplate {
  public:
    // Errors name line and column. `name` is what messages call the template.
    [[nodiscard]] static Result<ChatTemplate> parse(std::string source, std::string_view name);
    // The model's own template, or a built-in one (default_templates.h) when it carries none. Knows the texts of the model's special
    // tokens: bos_token and its kin need not be given as variables. A template that the file keeps for tools is used when tools are given.
    // A template of the file that does not parse is an error of render(): who needs no template can use the rest of the file.
    [[nodiscard]] static Result<ChatTemplate> load(const files::Metadata& metadata);
    // The same with another template in place of the file's; fails when it does not parse.
    [[nodiscard]] static Result<ChatTemplate> load(const files::Metadata& metadata, const NamedTemplate& replacement);
    // Fails on a template that does not parse, on what the template itself raises (raise_exception), on type errors, and on too many steps
    // or too much output.
    [[nodiscard]] Result<std::string> render(const ChatTemplateInput& input) const;
    // As render(). Where the template fails only because of the system messages that the list begins with, their text goes before that of
    // the first user message.
    [[nodiscard]] Result<RenderedChat> render_any_system(const ChatTemplateInput& input) const;
    // As given; with one of its own for tools, both. Empty where the file's is no text.
    [[nodiscard]] const std::string& source() const;
    [[nodiscard]] const std::string& name() const;  // "chat template", "built-in chatml template", or what parse() was given

    ChatTemplate(ChatTemplate&&) noexcept;
    ChatTemplate& operator=(ChatTemplate&&) noexcept;
    ~ChatTemplate();

  private:
    struct State;
    explicit ChatTemplate(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace rafter::text
