// A tool is a function, and its definition an object under "function" or the tool itself: see ToolSyntax.
#include "protocols/openai_tools.h"

#include "base/quote.h"
#include "protocols/openai_error.h"
#include "protocols/openai_parameters.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Result<void> check_type(const JsonReader& reader) {
    const json* type = reader.find("type");
    if (type != nullptr && *type == "function") return {};
    return not_supported(reader, "type", type == nullptr ? json() : *type, "\"function\"");
}

// tool: the same with its keys in the client's order.
Result<FunctionTool> read_tool(const JsonReader& reader, const ordered_json& tool, const ToolSyntax& syntax) {
    RAFTER_TRY_VOID(check_type(reader));
    RAFTER_TRY(const auto inner, syntax.nested ? reader.find_object("function") : Result<std::optional<JsonReader>>(reader));
    if (!inner) return bad_input("{}: function: expected an object, found no such key", reader.where());
    return read_function(*inner, syntax.nested ? tool["function"] : tool);
}

Result<void> read_choice(const JsonReader& body, const ToolSyntax& syntax, ToolRequest& request) {
    const json* choice = body.find(parameters::kToolChoice.name);
    if (choice == nullptr) return {};
    const std::string where = body.where() + ": tool_choice";
    if (*choice == "none") {
        request.choice = ToolChoice::kNone;
        return {};
    }
    if (*choice == "auto") return {};
    if (*choice == "required") {
        request.choice = ToolChoice::kRequired;
    } else if (choice->is_object()) {
        RAFTER_TRY(const JsonReader reader, JsonReader::open(*choice, where));
        RAFTER_TRY_VOID(check_type(reader));
        RAFTER_TRY(const auto inner, syntax.nested ? reader.find_object("function") : Result<std::optional<JsonReader>>(reader));
        if (!inner) return bad_input("{}: function: expected an object, found no such key", where);
        RAFTER_TRY(request.named, read_function_name(*inner));
        request.choice = ToolChoice::kNamed;
    } else {
        return bad_input("{}: expected \"auto\", \"none\", \"required\" or a function, found {}", where, shown_json(*choice));
    }
    return check_choice(request, where);
}

}  // namespace

Result<ToolRequest> read_tools(const JsonReader& body, const BodyText& text, const ToolSyntax& syntax) {
    ToolRequest request;
    RAFTER_TRY(const auto parallel, read_bool(body, parameters::kParallelToolCalls));
    request.parallel = parallel.value_or(true);
    const std::string where = body.where() + ": tools";
    const json* list = body.find(parameters::kTools.name);
    if (list != nullptr) RAFTER_TRY_VOID(check_tool_list(*list, where));
    if (list != nullptr && !list->empty()) {
        RAFTER_TRY(const ordered_json ordered, ordered_member(text, parameters::kTools.name, *list, where));
        for (std::size_t i = 0; i < list->size(); ++i) {
            RAFTER_TRY(const JsonReader reader, JsonReader::open((*list)[i], fmt::format("{}[{}]", where, i)));
            RAFTER_TRY(FunctionTool tool, read_tool(reader, ordered[i], syntax));
            request.tools.push_back(std::move(tool));
        }
        RAFTER_TRY_VOID(check_tool_names(request.tools, where));
    }
    RAFTER_TRY_VOID(read_choice(body, syntax, request));
    return request;
}

Result<ordered_json> read_tool_calls(const JsonReader& message) {
    const json* list = message.find("tool_calls");
    ordered_json calls = ordered_json::array();
    if (list == nullptr) return calls;
    const std::string where = message.where() + ": tool_calls";
    if (!list->is_array()) return bad_input("{}: expected a list, found {}", where, shown_json(*list));
    if (list->size() > kMaxCalls) return bad_input("{}: expected at most {}, found {}", where, kMaxCalls, list->size());
    for (std::size_t i = 0; i < list->size(); ++i) {
        RAFTER_TRY(const JsonReader call, JsonReader::open((*list)[i], fmt::format("{}[{}]", where, i)));
        RAFTER_TRY(const auto id, call.find_string("id"));
        if (call.find("type") != nullptr) RAFTER_TRY_VOID(check_type(call));
        RAFTER_TRY(const auto function, call.find_object("function"));
        if (!id) return bad_input("{}: id: expected a text, found no such key", call.where());
        if (!function) return bad_input("{}: function: expected an object, found no such key", call.where());
        RAFTER_TRY(std::string name, read_function_name(*function));
        const json* arguments = function->find("arguments");
        ordered_json object = ordered_json::object();
        if (arguments != nullptr && arguments->is_object()) {
            RAFTER_TRY(object, ordered_object(arguments->dump(), function->where() + ": arguments"));
        } else if (arguments != nullptr && arguments->is_string() && !arguments->get_ref<const std::string&>().empty()) {
            RAFTER_TRY(object, ordered_object(arguments->get_ref<const std::string&>(), function->where() + ": arguments"));
        } else if (arguments != nullptr && !arguments->is_string()) {
            return bad_input("{}: arguments: expected a JSON object as text, found {}", function->where(), shown_json(*arguments));
        }
        calls.push_back({{"id", *id}, {"type", "function"}, {"function", {{"name", std::move(name)}, {"arguments", std::move(object)}}}});
    }
    return calls;
}

}  // namespace rafter::protocols
