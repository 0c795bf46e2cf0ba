// Templates see what models were trained on: "type" first, then the function with name, description and parameters.
#include "protocols/function_tools.h"

#include <algorithm>
#include <set>

#include "base/quote.h"
#include "base/xxh3.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kTailTokens = 24;
constexpr std::size_t kCallIdSize = 9;

bool is_function_name(std::string_view name, std::size_t max_length) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    return !name.empty() && name.size() <= max_length && name.find_first_not_of(kLetters) == std::string_view::npos;
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

Result<std::string> read_function_name(const JsonReader& function, std::size_t max_length) {
    RAFTER_TRY(const auto name, function.find_string("name"));
    if (name && is_function_name(*name, max_length)) return *name;
    return bad_input("{}: name: expected 1 to {} letters, digits, \"_\", \"-\" or \".\", found {}", function.where(), max_length,
                     name ? quote(*name) : "no such key");
}

Result<FunctionTool> read_function(const JsonReader& function, const ordered_json& ordered, const FunctionSyntax& syntax) {
    FunctionTool made;
    RAFTER_TRY(made.name, read_function_name(function, syntax.max_name));
    RAFTER_TRY(const auto description, function.find_string("description"));
    RAFTER_TRY(const auto parameters, function.find_object(syntax.parameters));
    RAFTER_TRY_VOID(function.find_bool("strict"));
    made.parameters = parameters ? ordered[syntax.parameters] : ordered_json{{"type", "object"}, {"properties", ordered_json::object()}};
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

Result<void> check_tool_list(const json& list, const std::string& where) {
    if (!list.is_array()) return bad_input("{}: expected a list, found {}", where, shown_json(list));
    if (list.size() > kMaxTools) return bad_input("{}: expected at most {}, found {}", where, kMaxTools, list.size());
    return {};
}

Result<void> check_tool_names(const std::vector<FunctionTool>& tools, const std::string& where) {
    std::set<std::string_view> names;
    for (const FunctionTool& tool : tools) {
        if (!names.insert(tool.name).second) return bad_input("{}: expected each name once, found {} twice", where, quote(tool.name));
    }
    return {};
}

Result<void> check_choice(const ToolRequest& request, const std::string& where) {
    const bool needs_tools = request.choice == ToolChoice::kRequired || request.choice == ToolChoice::kNamed;
    const bool is_known = std::ranges::find(request.tools, request.named, &FunctionTool::name) != request.tools.end();
    if (request.choice == ToolChoice::kNamed && !is_known) {
        return bad_input("{}: expected the name of one of the tools, found {}", where, quote(request.named));
    }
    if (needs_tools && request.tools.empty()) return bad_input("{}: expected tools with it, found none", where);
    return {};
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
