// A user's message becomes results of calls and a text; an assistant's one message of thought, text and calls.
#include "protocols/anthropic_prompt.h"

#include <algorithm>
#include <utility>

#include "base/quote.h"
#include "protocols/anthropic_parameters.h"
#include "protocols/openai_error.h"
#include "protocols/openai_prompts.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kNoSuchKey = "no such key";

std::string shown_or_missing(const json* value) { return value == nullptr ? kNoSuchKey : shown_json(*value); }

std::string type_of_block(const JsonReader& block) {
    const json* type = block.find("type");
    return type != nullptr && type->is_string() ? type->get<std::string>() : "";
}
Error wrong_block(const JsonReader& block, const std::string& expected) {
    const json* type = block.find("type");
    return not_supported(block, "type", type == nullptr ? json() : *type, expected);
}

void add_line(std::string& text, const std::string& more) {
    if (!text.empty() && !more.empty()) text += '\n';
    text += more;
}

Result<std::string> read_needed_text(const JsonReader& block, const char* key) {
    RAFTER_TRY(auto text, block.find_string(key));
    if (!text) return bad_input("{}: {}: expected a text, found no such key", block.where(), key);
    return *std::move(text);
}

// A text, or a list of text blocks; null and a missing key are no text.
Result<std::string> read_texts(const JsonReader& reader, const char* key) {
    const json* value = reader.find(key);
    if (value == nullptr) return std::string();
    if (value->is_string()) return value->get<std::string>();
    const std::string where = fmt::format("{}: {}", reader.where(), key);
    if (!value->is_array()) return bad_input("{}: expected a text or a list of text blocks, found {}", where, shown_json(*value));
    std::string text;
    for (std::size_t i = 0; i < value->size(); ++i) {
        RAFTER_TRY(const JsonReader block, JsonReader::open((*value)[i], fmt::format("{}[{}]", where, i)));
        if (type_of_block(block) != "text") return wrong_block(block, "\"text\"");
        RAFTER_TRY(const std::string more, read_needed_text(block, "text"));
        add_line(text, more);
    }
    return text;
}

// The conversation as it grows.
class Conversation {
  public:
    // One after another of a role are one message.
    void add_text(const std::string& role, const std::string& text) {
        if (role == "assistant") {
            add_line(assistant()["content"].get_ref<std::string&>(), text);
        } else if (!messages_.empty() && messages_.back()["role"] == role) {
            add_line(messages_.back()["content"].get_ref<std::string&>(), text);
        } else {
            messages_.push_back({{"role", role}, {"content", text}});
        }
    }
    void add_thought(const std::string& text) {
        ordered_json& message = assistant();
        if (!message.contains("reasoning_content")) message["reasoning_content"] = "";
        add_line(message["reasoning_content"].get_ref<std::string&>(), text);
    }
    Result<void> add_call(const JsonReader& block, const ordered_json& ordered) {
        RAFTER_TRY(const std::string id, read_needed_text(block, "id"));
        RAFTER_TRY(const std::string name, read_function_name(block, kMaxAnthropicName));
        RAFTER_TRY(const auto input, block.find_object("input"));
        ordered_json& message = assistant();
        if (!message.contains("tool_calls")) message["tool_calls"] = ordered_json::array();
        if (message["tool_calls"].size() >= kMaxCalls) {
            return bad_input("{}: expected at most {} calls in a message, found more", block.where(), kMaxCalls);
        }
        message["tool_calls"].push_back({{"id", id},
                                         {"type", "function"},
                                         {"function", {{"name", name}, {"arguments", input ? ordered["input"] : ordered_json::object()}}}});
        return {};
    }
    Result<void> add_result(const JsonReader& block) {
        RAFTER_TRY(const std::string id, read_needed_text(block, "tool_use_id"));
        RAFTER_TRY(std::string content, read_texts(block, "content"));
        RAFTER_TRY(const auto is_error, block.find_bool("is_error"));
        if (is_error.value_or(false)) content.insert(0, "Error: ");
        messages_.push_back({{"role", "tool"}, {"content", std::move(content)}, {"tool_call_id", id}});
        return {};
    }
    [[nodiscard]] ordered_json take() {
        name_results(messages_);
        return std::move(messages_);
    }

  private:
    ordered_json& assistant() {
        if (messages_.empty() || messages_.back()["role"] != "assistant") messages_.push_back({{"role", "assistant"}, {"content", ""}});
        return messages_.back();
    }

    ordered_json messages_ = ordered_json::array();
};

// ordered: the same with its keys in the client's order.
Result<void> read_block(const JsonReader& block, const ordered_json& ordered, const std::string& role, Conversation& made) {
    const std::string type = type_of_block(block);
    if (type == "text") {
        RAFTER_TRY(const std::string text, read_needed_text(block, "text"));
        made.add_text(role, text);
        return {};
    }
    if (role == "user") {
        if (type == "tool_result") return made.add_result(block);
        return wrong_block(block, "\"text\" or \"tool_result\"");
    }
    if (role == "system") return wrong_block(block, "\"text\"");
    if (type == "tool_use") return made.add_call(block, ordered);
    if (type == "redacted_thinking") return {};
    if (type != "thinking") return wrong_block(block, "\"text\", \"tool_use\", \"thinking\" or \"redacted_thinking\"");
    RAFTER_TRY(const std::string thought, read_needed_text(block, "thinking"));
    if (!thought.empty()) made.add_thought(thought);
    return {};
}

Result<void> read_blocks_of(const JsonReader& message, const ordered_json& ordered, Conversation& made) {
    RAFTER_TRY(const auto role, message.find_string("role"));
    if (!role || (*role != "user" && *role != "assistant" && *role != "system")) {
        return bad_input("{}: role: expected user, assistant or system, found {}", message.where(), role ? quote(*role) : kNoSuchKey);
    }
    const json* content = message.find("content");
    if (content != nullptr && content->is_string()) {
        made.add_text(*role, content->get<std::string>());
        return {};
    }
    if (content == nullptr || !content->is_array()) {
        return bad_input("{}: content: expected a text or a list of blocks, found {}", message.where(), shown_or_missing(content));
    }
    for (std::size_t i = 0; i < content->size(); ++i) {
        RAFTER_TRY(const JsonReader block, JsonReader::open((*content)[i], fmt::format("{}: content[{}]", message.where(), i)));
        RAFTER_TRY_VOID(read_block(block, ordered["content"][i], *role, made));
    }
    return {};
}

bool has_blocks(const json& message) {
    const auto content = message.is_object() ? message.find("content") : message.end();
    return content != message.end() && content->is_array();
}

Result<void> read_conversation(const JsonReader& body, const BodyText& text, ordered_json& messages) {
    const json* list = body.find(parameters::kMessagesOfAnthropic.name);
    const std::string where = body.where() + ": messages";
    if (list == nullptr || !list->is_array() || list->empty()) {
        return bad_input("{}: expected a list of at least one message, found {}", where, shown_or_missing(list));
    }
    Conversation made;
    RAFTER_TRY(const std::string system, read_texts(body, parameters::kSystem.name));
    if (!system.empty()) made.add_text("system", system);
    ordered_json ordered;  // only blocks have keys whose order shows
    if (std::ranges::any_of(*list, has_blocks)) {
        RAFTER_TRY(ordered, ordered_member(text, parameters::kMessagesOfAnthropic.name, *list, where));
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
        RAFTER_TRY(const JsonReader message, JsonReader::open((*list)[i], fmt::format("{}[{}]", where, i)));
        RAFTER_TRY_VOID(read_blocks_of(message, ordered.is_array() ? ordered[i] : ordered, made));
    }
    messages = made.take();
    if (messages.empty()) return bad_input("{}: expected at least one block, found none", where);
    if (messages.back()["role"] != "assistant") return {};
    return bad_input(
        "{}[{}]: role: expected the last message to be the user's: {}: an answer cannot continue a text that is given; found "
        "\"assistant\"",
        where, list->size() - 1, kNotSupportedWords);
}

Result<ToolChoice> read_choice_type(const JsonReader& choice) {
    const std::string type = type_of_block(choice);
    if (type == "auto") return ToolChoice::kAuto;
    if (type == "none") return ToolChoice::kNone;
    if (type == "any") return ToolChoice::kRequired;
    if (type == "tool") return ToolChoice::kNamed;
    return bad_input("{}: type: expected \"auto\", \"any\", \"tool\" or \"none\", found {}", choice.where(),
                     shown_or_missing(choice.find("type")));
}

Result<ToolRequest> read_anthropic_tools(const JsonReader& body, const BodyText& text) {
    ToolRequest request;
    const std::string where = body.where() + ": tools";
    const json* list = body.find(parameters::kToolsOfMessage.name);
    if (list != nullptr) RAFTER_TRY_VOID(check_tool_list(*list, where));
    if (list != nullptr && !list->empty()) {
        RAFTER_TRY(const ordered_json ordered, ordered_member(text, parameters::kToolsOfMessage.name, *list, where));
        for (std::size_t i = 0; i < list->size(); ++i) {
            RAFTER_TRY(const JsonReader tool, JsonReader::open((*list)[i], fmt::format("{}[{}]", where, i)));
            const json* type = tool.find("type");
            if (type != nullptr && *type != "custom") return not_supported(tool, "type", *type, "\"custom\"");
            if (tool.find("input_schema") == nullptr) {
                return bad_input("{}: input_schema: expected a JSON schema, found no such key", tool.where());
            }
            RAFTER_TRY(FunctionTool made, read_function(tool, ordered[i], {.parameters = "input_schema", .max_name = kMaxAnthropicName}));
            request.tools.push_back(std::move(made));
        }
        RAFTER_TRY_VOID(check_tool_names(request.tools, where));
    }
    RAFTER_TRY(const auto choice, body.find_object(parameters::kToolChoiceOfMessage.name));
    if (!choice) return request;
    RAFTER_TRY(request.choice, read_choice_type(*choice));
    RAFTER_TRY(const auto alone, choice->find_bool("disable_parallel_tool_use"));
    request.parallel = !alone.value_or(false);
    if (request.choice == ToolChoice::kNamed) {
        RAFTER_TRY(request.named, read_function_name(*choice, kMaxAnthropicName));
    }
    RAFTER_TRY_VOID(check_choice(request, choice->where()));
    return request;
}

Result<void> read_thinking(const JsonReader& body, AnthropicChat& chat) {
    bool thinks = false;
    RAFTER_TRY(const auto thinking, body.find_object(parameters::kThinking.name));
    if (thinking) {
        const std::string type = type_of_block(*thinking);
        if (type != "enabled" && type != "adaptive" && type != "disabled") {
            return bad_input("{}: type: expected \"enabled\", \"adaptive\" or \"disabled\", found {}", thinking->where(),
                             shown_or_missing(thinking->find("type")));
        }
        thinks = type != "disabled";
        RAFTER_TRY(const auto budget, thinking->find_uint("budget_tokens", 0, UINT32_MAX));
        if (type == "enabled" && !budget) {
            return bad_input("{}: budget_tokens: expected a whole number, found no such key", thinking->where());
        }
        if (type == "enabled") chat.thought_tokens = budget;
    }
    // Two names that templates give to it. A variable that the request sets by its name counts.
    chat.input.variables["enable_thinking"] = chat.input.variables["thinking"] = thinks;
    RAFTER_TRY(const auto output, body.find_object(parameters::kOutputConfig.name));
    if (output) {
        RAFTER_TRY(const auto effort, output->find_string("effort"));
        if (effort) chat.input.variables["reasoning_effort"] = *effort;
    }
    return read_template_variables(body, chat.input);
}

}  // namespace

Result<AnthropicChat> read_anthropic_chat(const JsonReader& body, const BodyText& text) {
    AnthropicChat chat;
    RAFTER_TRY_VOID(read_conversation(body, text, chat.input.messages));
    RAFTER_TRY(chat.tools, read_anthropic_tools(body, text));
    if (chat.tools.choice != ToolChoice::kNone) {
        for (const FunctionTool& tool : chat.tools.tools) chat.input.tools.push_back(tool.definition);
    }
    RAFTER_TRY_VOID(read_thinking(body, chat));
    return chat;
}

}  // namespace rafter::protocols
