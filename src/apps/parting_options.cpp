// Tools are read as a request to the server has them.
#include "apps/parting_options.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json_reader.h"
#include "base/os_file.h"
#include "protocols/openai_tools.h"
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

constexpr std::array<std::string_view, 3> kChoices = {"auto", "none", "required"};

}  // namespace

void add_parting_options(OptionSet& options, PartingOptions& parting) {
    options.add("tools", parting.tools_file);
    options.add("tool-choice", parting.tool_choice);
    options.add("tool-parser", parting.format.tools);
    options.add("reasoning-parser", parting.format.reasoning);
    options.add("thinking-tokens", parting.thinking_tokens);
}

Result<protocols::ToolRequest> read_tools(const PartingOptions& options) {
    if (options.tools_file.empty()) return protocols::ToolRequest();
    RAFTER_TRY(const std::string text, read_file(options.tools_file));
    nlohmann::json choice = options.tool_choice;
    if (std::ranges::find(kChoices, options.tool_choice) == kChoices.end()) {
        choice = {{"type", "function"}, {"function", {{"name", text::valid_utf8(options.tool_choice)}}}};
    }
    // A list, or a request's body that has one.
    auto given = parse_json(text, options.tools_file);
    if (!given) return given.error();
    const bool is_body = given->is_object() && given->contains("tools");
    const std::string list = is_body ? text : R"({"tools": )" + text + "}";
    const nlohmann::json body{{"tools", is_body ? given->at("tools") : *given}, {"tool_choice", std::move(choice)}};
    RAFTER_TRY(const JsonReader reader, JsonReader::open(body, options.tools_file));
    return protocols::read_tools(reader, {.text = list}, {});
}

}  // namespace rafter::apps
