// Standard input is read once, whoever names it.
#include "apps/prompt_source.h"

#include <fmt/format.h>

#include "base/os_file.h"
#include "base/os_terminal.h"
#include "base/quote.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kStandardInput = "-";

// What stands in a file, without what only ends or marks the file.
std::string file_text(std::string_view bytes) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
    std::string text = unix_lines(bytes);
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

Result<std::string> read_text_file(const std::string& path) {
    RAFTER_TRY(const std::string bytes, read_file(path));
    return file_text(bytes);
}

void append(std::optional<std::string>& prompt, const std::string& text) {
    if (!prompt) {
        prompt = text;
    } else if (!text.empty()) {
        if (!prompt->empty() && !prompt->ends_with('\n')) *prompt += '\n';
        *prompt += text;
    }
}

}  // namespace

void add_prompt_options(OptionSet& options, PromptOptions& prompt) {
    options.add("prompt", prompt.prompt);
    options.add("file", prompt.file);
    options.add("interactive", prompt.interactive);
    options.add("system", prompt.system);
    options.add("system-file", prompt.system_file);
    options.add("template-var", prompt.template_variables);
    options.add("no-thinking", prompt.no_thinking);
}

std::string unix_lines(std::string_view text) {
    std::string lines;
    lines.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        lines += text[i];
    }
    return lines;
}

Result<std::optional<std::string>> read_prompt(const PromptOptions& options) {
    const bool is_named = options.prompt == kStandardInput || options.file == kStandardInput;
    std::string input;
    if (is_named || (!options.interactive && !is_terminal(stdin))) {
        const auto waiting = [] { fmt::print(stderr, "rafter run: waiting for text on standard input (</dev/null: there is none)\n"); };
        RAFTER_TRY(const std::string bytes, read_standard_input(waiting));
        input = file_text(bytes);
    }
    std::optional<std::string> prompt;
    if (options.prompt && *options.prompt != kStandardInput) prompt = unix_lines(*options.prompt);
    if (!options.file.empty() && options.file != kStandardInput) {
        RAFTER_TRY(const std::string text, read_text_file(options.file));
        append(prompt, text);
    }
    if (is_named || !input.empty()) append(prompt, input);
    return prompt;
}

Result<std::string> read_system(const PromptOptions& options) {
    if (options.system_file.empty()) return unix_lines(options.system);
    return read_text_file(options.system_file);
}

Result<nlohmann::ordered_json> template_variables(const PromptOptions& options) {
    nlohmann::ordered_json variables = nlohmann::ordered_json::object();
    if (options.no_thinking) variables["enable_thinking"] = false;
    for (const std::string& text : options.template_variables) {
        const std::size_t equals = text.find('=');
        if (equals == 0 || equals == std::string::npos) {
            return Error{fmt::format("--template-var: expected NAME=VALUE, such as enable_thinking=false, found {}", quote(text)),
                         ErrorKind::kUsage};
        }
        const std::string value = text.substr(equals + 1);
        nlohmann::ordered_json parsed = nlohmann::ordered_json::parse(value, nullptr, false);
        variables[text.substr(0, equals)] = parsed.is_discarded() ? nlohmann::ordered_json(value) : std::move(parsed);
    }
    return variables;
}

}  // namespace rafter::apps
