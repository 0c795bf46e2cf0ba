// The template verb; see the header.
#include "apps/template.h"

#include <array>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/session.h"
#include "base/os_file.h"
#include "base/quote.h"
#include "files/gguf.h"
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

bool is_gguf(const std::filesystem::path& path) {
    std::array<char, 4> magic{};
    return std::ifstream(path, std::ios::binary).read(magic.data(), magic.size()) && std::memcmp(magic.data(), "GGUF", magic.size()) == 0;
}

Result<text::ChatTemplate> load_template(const std::filesystem::path& path) {
    if (is_gguf(path)) {
        RAFTER_TRY(const files::GgufFile file, files::GgufFile::open(path));
        auto loaded = text::ChatTemplate::load(file.metadata());
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
    const auto options = std::make_shared<TemplateOptions>();
    CLI::App* verb = app.add_subcommand("template", "Turn a list of messages into the prompt that a model expects");
    const auto model = std::make_shared<std::string>();
    verb->add_option("MODEL", *model, "A GGUF file, a folder with one or a model's name; or a file with a template's text (FILE.jinja)")
        ->required();
    verb->add_option("--messages", options->messages, "A JSON file with the messages, or with a request's body; - reads standard input")
        ->required()
        ->type_name("FILE.json");
    verb->add_option("--tools", options->tools, "A JSON file with the tools' descriptions")->type_name("FILE.json");
    verb->add_flag_callback(
        "--no-generation-prompt", [options] { options->generation_prompt = false; }, "Leave out the opening of the model's answer");
    verb->add_option("--var", options->variables, "A further variable of the template")->type_name("NAME=JSON")->allow_extra_args(false);
    verb->callback([options, model, &cli] {
        cli.action = [options, model, environment = cli.environment] {
            const auto path = find_model(environment, *model);
            if (!path) return report_error("template", path.error());
            options->source = *path;
            const Result<void> done = run_template(*options, std::cin, std::cout);
            return done ? 0 : report_error("template", done.error());
        };
    });
}

}  // namespace rafter::apps
