// Templates see what models were trained on: "type" first, then the function with name, description and parameters.
#include "protocols/openai_tools.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/quote.h"
#include "base/xxh3.h"
#include "protocols/openai_error.h"
#include "protocols/openai_parameters.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMaxTools = 512;
constexpr std::size_t kMaxFunctionName = 64;
constexpr std::size_t kMaxCalls = 512;  // of one message
constexpr std::size_t kTailTokens = 24;
constexpr std::size_t kCallIdSize = 9;

bool is_function_name(std::string_view name) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    return !name.empty() && name.size() <= kMaxFunctionName && name.find_first_not_of(kLetters) == std::string_view::npos;
}

Result<void> check_type(const JsonReader& reader) {
    const json* type = reader.find("type");
    if (type != nullptr && *type == "function") return {};
    return not_supported(reader, "type", type == nullptr ? json() : *type, "\"function\"");
}

Result<std::string> read_function_name(const JsonReader& function) {
    RAFTER_TRY(const auto name, function.find_string("name"));
    if (name && is_function_name(*name)) return *name;
    return bad_input("{}: name: expected 1 to {} letters, digits, \"_\", \"-\" or \".\", found {}", function.where(), kMaxFunctionName,
                     name ? quote(*name) : "no such key");
}

// tool: the same with its keys in the client's order.
Result<FunctionTool> read_tool(const JsonReader& reader, const ordered_json& tool, const ToolSyntax& syntax) {
    RAFTER_TRY_VOID(check_type(reader));
    RAFTER_TRY(const auto inner, syntax.nested ? reader.find_object("function") : Result<std::optional<JsonReader>>(reader));
    if (!inner) return bad_input("{}: function: expected an object, found no such key", reader.where());
    const ordered_json& function = syntax.nested ? tool["function"] : tool;
    FunctionTool made;
    RAFTER_TRY(made.name, read_function_name(*inner));
    RAFTER_TRY(const auto description, inner->find_string("description"));
    RAFTER_TRY(const auto parameters, inner->find_object("parameters"));
    RAFTER_TRY_VOID(inner->find_bool("strict"));
    made.parameters = parameters ? function["parameters"] : ordered_json{{"type", "object"}, {"properties", ordered_json::object()}};
    const json* type = parameters ? parameters->find("type") : nullptr;
    if (type != nullptr && *type != "object") {
        return bad_input("{}: type: expected \"object\": a function's arguments are an object; found {}", parameters->where(),
                         shown_json(*type));
    }
    ordered_json definition{{"name", made.name}};
    if (description) definition["description"] = *description;
    definition["parameters"] = made.parameters;
    made.definition = {{"type", "function"}, {"function", std::move(definition)}};
    return made;
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
        const bool is_known = std::ranges::find(request.tools, request.named, &FunctionTool::name) != request.tools.end();
        if (!is_known) return bad_input("{}: expected the name of one of the tools, found {}", where, quote(request.named));
    } else {
        return bad_input("{}: expected \"auto\", \"none\", \"required\" or a function, found {}", where, shown_json(*choice));
    }
    if (request.tools.empty()) return bad_input("{}: expected tools with it, found none", where);
    return {};
}

std::string instructions(const ordered_json& tools) {
    std::string text = "You can call functions. Each is described by a JSON object on a line:\n";
    for (const ordered_json& tool : tools) text += tool["function"].dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
    return text +
           "\nTo call one, answer with nothing but a JSON object: {\"name\": the function's name, \"arguments\": an object of its "
           "parameters}. Otherwise answer in words.";
}

std::string content_of(const ordered_json& message) {
    const auto content = message.find("content");
    return content != message.end() && content->is_string() ? content->get<std::string>() : "";
}

// For a template that knows the roles system, user and assistant only. Results that follow each other become one message.
ordered_json in_plain_words(const ordered_json& messages, const ordered_json& tools) {
    ordered_json plain = ordered_json::array();
    if (!tools.empty()) plain.push_back({{"role", "system"}, {"content", instructions(tools)}});
    bool after_result = false;
    for (const ordered_json& message : messages) {
        const std::string role = message["role"];
        const bool is_result = role == "tool";
        std::string content = content_of(message);
        if (message.contains("tool_calls")) {
            for (const ordered_json& call : message["tool_calls"]) {
                if (!content.empty()) content += "\n";
                content += call["function"].dump(-1, ' ', false, ordered_json::error_handler_t::replace);
            }
        }
        if (is_result)
            content = (message.contains("name") ? "Result of " + message["name"].get<std::string>() + ": " : "Result: ") + content;
        if (is_result && after_result) {
            plain.back()["content"] = plain.back()["content"].get<std::string>() + "\n" + content;
        } else if (role == "system" && plain.size() == 1 && !tools.empty() && plain[0]["role"] == "system") {
            plain[0]["content"] = content + "\n\n" + plain[0]["content"].get<std::string>();
        } else {
            plain.push_back({{"role", is_result ? "user" : role}, {"content", std::move(content)}});
        }
        after_result = is_result;
    }
    return plain;
}

// Mistral's templates want ids of nine letters and digits.
void shorten_ids(ordered_json& messages) {
    const auto shorten = [](ordered_json& id) {
        const auto& text = id.get_ref<const std::string&>();
        if (text.size() != kCallIdSize) id = call_id(text, 0, 0);
    };
    for (ordered_json& message : messages) {
        if (message.contains("tool_call_id")) shorten(message["tool_call_id"]);
        if (!message.contains("tool_calls")) continue;
        for (ordered_json& call : message["tool_calls"]) shorten(call["id"]);
    }
}

}  // namespace

std::vector<FunctionTool> ToolRequest::callable() const {
    std::vector<FunctionTool> list;
    if (choice == ToolChoice::kNone) return list;
    std::ranges::copy_if(tools, std::back_inserter(list),
                         [&](const FunctionTool& tool) { return choice != ToolChoice::kNamed || tool.name == named; });
    return list;
}

Result<ToolRequest> read_tools(const JsonReader& body, const BodyText& text, const ToolSyntax& syntax) {
    ToolRequest request;
    RAFTER_TRY(const auto parallel, read_bool(body, parameters::kParallelToolCalls));
    request.parallel = parallel.value_or(true);
    const std::string where = body.where() + ": tools";
    const json* list = body.find(parameters::kTools.name);
    if (list != nullptr && !list->is_array()) return bad_input("{}: expected a list, found {}", where, shown_json(*list));
    if (list != nullptr && list->size() > kMaxTools) {
        return bad_input("{}: expected at most {}, found {}", where, kMaxTools, list->size());
    }
    if (list != nullptr && !list->empty()) {
        RAFTER_TRY(const ordered_json ordered, ordered_member(text, parameters::kTools.name, *list, where));
        std::set<std::string> names;
        for (std::size_t i = 0; i < list->size(); ++i) {
            RAFTER_TRY(const JsonReader reader, JsonReader::open((*list)[i], fmt::format("{}[{}]", where, i)));
            RAFTER_TRY(FunctionTool tool, read_tool(reader, ordered[i], syntax));
            if (!names.insert(tool.name).second) {
                return bad_input("{}: expected each name once, found {} twice", where, quote(tool.name));
            }
            request.tools.push_back(std::move(tool));
        }
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

text::ChatTemplateInput fit_to_template(const engine::OpenedModel& opened, text::ChatTemplateInput input) {
    const std::string_view source = opened.chat_template.source();
    const bool has_calls = std::ranges::any_of(
        input.messages, [](const ordered_json& message) { return message.contains("tool_calls") || message["role"] == "tool"; });
    if (input.tools.empty() && !has_calls) return input;
    if (source.find("tools") == std::string_view::npos) {
        input.messages = in_plain_words(input.messages, input.tools);
        input.tools = nullptr;
        return input;
    }
    if (source.find("length != 9") != std::string_view::npos) shorten_ids(input.messages);
    return input;
}

text::ChatTemplateInput with_text_arguments(text::ChatTemplateInput input) {
    for (ordered_json& message : input.messages) {
        if (!message.contains("tool_calls")) continue;
        for (ordered_json& call : message["tool_calls"]) {
            ordered_json& arguments = call["function"]["arguments"];
            arguments = arguments.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
        }
    }
    return input;
}

Result<AnswerRules> answer_rules(const engine::OpenedModel& opened, const AnswerFormatNames& names, const ToolRequest& tools,
                                 std::span<const text::TokenId> prompt) {
    AnswerRules rules;
    RAFTER_TRY(rules.format, answer_format(opened.chat_template.source(), *opened.tokenizer, names));
    if (names.tools == "auto" && !rules.format.template_has_tools && rules.format.calls != CallFamily::kHarmony) {
        rules.format.calls = CallFamily::kJson;  // as the prompt says
    }
    for (const FunctionTool& tool : tools.callable()) rules.functions.emplace(tool.name, json(tool.parameters));
    if (!tools.parallel) rules.max_calls = 1;
    if (rules.is_plain()) return rules;
    rules.shown_tokens = hidden_mark_tokens(rules.format, *opened.tokenizer);
    if (rules.format.tags == nullptr) return rules;
    const auto tail = prompt.subspan(prompt.size() - std::min(prompt.size(), kTailTokens));
    std::string text;
    for (const text::TokenId id : tail) {
        if (static_cast<std::size_t>(id) < opened.tokenizer->n_tokens()) text += opened.tokenizer->piece(id, text::SpecialTokens::kParse);
    }
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    if (text.ends_with(rules.format.tags->begin)) rules.thought = ThoughtStart::kOpen;
    if (text.ends_with(rules.format.tags->end)) rules.thought = ThoughtStart::kNone;
    return rules;
}

std::string call_id(std::string_view answer_id, std::size_t choice, std::uint32_t index) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    std::uint64_t hash = xxh3(fmt::format("{} {} {}", answer_id, choice, index));
    std::string id;
    for (; id.size() < kCallIdSize; hash /= kLetters.size()) id += kLetters[hash % kLetters.size()];
    return id;
}

}  // namespace rafter::protocols
