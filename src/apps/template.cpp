// The template verb; see the header.
#include "apps/template.h"

#include <array>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/options/flags.h"
#include "apps/session.h"
#include "base/os_file.h"
#include "base/quote.h"
#include "engine/loading/model_source.h"
#include "text/chat_template.h"

namespace rafter::apps {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> parse_json(const std::string& text, std::string_view where) {
    try {
        return Json::parse(text);
    } catch (const Json::exception& error) {
        return bad_input("{}: expected JSON: {}", where, error.what());
    }
}

Result<Json> read_json(const std::filesystem::path& path, std::istream& in) {
    if (path == "-") return parse_json({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}, "standard input");
    RAFTER_TRY(const std::string text, read_file(path));
    return parse_json(text, path.string());
}

Result<void> add_variables(const std::vector<std::string>& given, Json& variables) {
    for (const std::string& variable : given) {
        const std::size_t equals = variable.find('=');
        if (equals == std::string::npos || equals == 0) {
            return Error{fmt::format("--var: expected NAME=JSON, found {}", quote(variable)), ErrorKind::kUsage};
        }
        const std::string name = variable.substr(0, equals);
        auto value = parse_json(variable.substr(equals + 1), "--var " + name);
        if (!value) return Error{value.error().message + "; a text needs its quotes", ErrorKind::kUsage};
        variables[name] = *std::move(value);
    }
    return {};
}

// Messages, or the body of a request that has them: {"messages": [...], "tools": [...], "chat_template_kwargs": {...}}.
void take_messages(Json given, text::ChatTemplateInput& input) {
    if (!given.is_object() || !given.contains("messages")) {
        input.messages = std::move(given);
        return;
    }
    input.messages = given["messages"];
    input.tools = given.value("tools", Json());
    const Json variables = given.value("chat_template_kwargs", Json::object());
    for (const auto& [name, value] : variables.items()) {
        if (!input.variables.contains(name)) input.variables[name] = value;
    }
}

bool is_model(const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return true;
    std::array<char, 4> magic{};
    return std::ifstream(path, std::ios::binary).read(magic.data(), magic.size()) && std::memcmp(magic.data(), "GGUF", magic.size()) == 0;
}

Result<text::ChatTemplate> load_template(const std::filesystem::path& path) {
    if (is_model(path)) {
        RAFTER_TRY(const auto source, engine::open_source(path));
        auto loaded = text::ChatTemplate::load(source->metadata());
        if (!loaded) return loaded.error().within(path.string());
        return loaded;
    }
    RAFTER_TRY(std::string source, read_file(path));
    return text::ChatTemplate::parse(std::move(source), path.string());
}

}  // namespace

Result<void> run_template(const TemplateOptions& options, std::istream& in, std::ostream& out) {
    text::ChatTemplateInput input;
    RAFTER_TRY_VOID(add_variables(options.variables, input.variables));
    RAFTER_TRY(const text::ChatTemplate chat_template, load_template(options.source));
    RAFTER_TRY(Json given, read_json(options.messages, in));
    take_messages(std::move(given), input);
    if (options.tools) {
        RAFTER_TRY(input.tools, read_json(*options.tools, in));
    }
    input.add_generation_prompt = options.generation_prompt;
    RAFTER_TRY(const text::RenderedChat prompt, chat_template.render_any_system(input));
    if (prompt.system_moved) fmt::print(stderr, "rafter template: {}\n", text::kSystemMoved);
    out << prompt.text;
    out.flush();
    if (!out) return Error{"standard output: cannot write", ErrorKind::kIo};
    return {};
}

void add_template(CLI::App& app, Cli& cli) {
    struct Arguments {
        TemplateOptions options;
        std::string model;
        std::string messages;
        std::optional<std::string> tools;
        bool no_generation_prompt = false;
    };
    const auto arguments = std::make_shared<Arguments>();
    Verb verb{.name = "template", .summary = "Turn a list of messages into the prompt that a model expects"};
    verb.options.add("template", arguments->model, {.required = true});
    verb.options.add("messages", arguments->messages, {.required = true});
    verb.options.add("tools", arguments->tools);
    verb.options.add("no-generation-prompt", arguments->no_generation_prompt);
    verb.options.add("var", arguments->options.variables);
    verb.run = [arguments](const Environment& environment) -> Result<int> {
        TemplateOptions& o = arguments->options;
        RAFTER_TRY(o.source, find_model(environment, arguments->model));
        o.messages = arguments->messages;
        o.tools = arguments->tools;
        o.generation_prompt = !arguments->no_generation_prompt;
        RAFTER_TRY_VOID(run_template(o, std::cin, std::cout));
        return 0;
    };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
