// Messages, tools and formats become what OpenAI's have become; from there on both go the same way.
#include "protocols/ollama_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json_reader.h"
#include "engine/conversation.h"
#include "protocols/answer_rules.h"
#include "protocols/ollama_options.h"
#include "protocols/ollama_parameters.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/structured_output.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kCallIdSource = "ollama";  // of ids that calls without one get

// Messages as templates take them. Ollama's calls need no ids and results need not say which call they are of: those are found here.
class OllamaMessages {
  public:
    // ordered: the same message with its keys in the client's order.
    [[nodiscard]] Result<void> add(const JsonReader& message, const ordered_json& ordered);
    [[nodiscard]] ordered_json take() { return std::move(messages_); }

  private:
    struct OpenCall {
        std::string id, name;
    };
    [[nodiscard]] Result<ordered_json> read_calls(const JsonReader& message, const ordered_json& ordered) const;
    [[nodiscard]] Result<void> add_result(const JsonReader& message, ordered_json& made);

    ordered_json messages_ = ordered_json::array();
    std::vector<OpenCall> open_;  // without a result so far, in order
};

// In OpenAI's form: with an id, and with the arguments as text, which keeps their order.
Result<ordered_json> OllamaMessages::read_calls(const JsonReader& message, const ordered_json& ordered) const {
    const json* list = message.find("tool_calls");
    if (list == nullptr || says_nothing(*list)) return ordered_json::array();
    json openai{{"tool_calls", *list}};
    json& calls = openai["tool_calls"];
    for (std::size_t i = 0; calls.is_array() && i < calls.size(); ++i) {
        if (!calls[i].is_object()) continue;
        if (!calls[i].contains("id") || calls[i]["id"].is_null()) {
            calls[i]["id"] = call_id(kCallIdSource, messages_.size(), static_cast<std::uint32_t>(i));
        }
        json& function = calls[i]["function"];
        if (!function.is_object() || !function.contains("arguments") || !function["arguments"].is_object()) continue;
        const ordered_json& arguments = ordered["tool_calls"][i]["function"]["arguments"];
        function["arguments"] = arguments.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    }
    RAFTER_TRY(const JsonReader reader, JsonReader::open(openai, message.where()));
    return read_tool_calls(reader);
}

// Of the call that it names, or else of the first that has none.
Result<void> OllamaMessages::add_result(const JsonReader& message, ordered_json& made) {
    RAFTER_TRY(const auto id, message.find_string("tool_call_id"));
    RAFTER_TRY(auto name, message.find_string("tool_name"));
    if (!name) {
        RAFTER_TRY(name, message.find_string("name"));
    }
    auto call = std::ranges::find_if(open_, [&](const OpenCall& open) { return id ? open.id == *id : !name || open.name == *name; });
    if (call == open_.end() && !id) call = open_.begin();
    if (call != open_.end()) {
        made["tool_call_id"] = call->id;
        if (!name) name = call->name;
        open_.erase(call);
    } else {
        made["tool_call_id"] = id ? *id : call_id(kCallIdSource, messages_.size(), 0);
    }
    if (name) made["name"] = *name;
    return {};
}

Result<void> OllamaMessages::add(const JsonReader& message, const ordered_json& ordered) {
    RAFTER_TRY(const std::string role, read_role(message, ToolRole::kTaken));
    RAFTER_TRY(const auto content, message.find_string("content"));
    RAFTER_TRY(const auto thinking, message.find_string("thinking"));
    const json* images = message.find("images");
    if (images != nullptr && !says_nothing(*images)) return not_supported(message, "images", *images);
    ordered_json made{{"role", role}, {"content", content.value_or("")}};
    RAFTER_TRY(ordered_json calls, read_calls(message, ordered));
    if (!calls.empty() && role != "assistant") {
        return bad_input("{}: tool_calls: expected no such key in a message of the role {}, found {}", message.where(), role,
                         shown_json(*message.find("tool_calls")));
    }
    if (role == "assistant" && thinking && !thinking->empty()) made["reasoning_content"] = *thinking;
    if (role == "tool") RAFTER_TRY_VOID(add_result(message, made));
    if (!calls.empty()) {
        for (const ordered_json& call : calls) open_.push_back({.id = call["id"], .name = call["function"]["name"]});
        made["tool_calls"] = std::move(calls);
    }
    messages_.push_back(std::move(made));
    return {};
}

Result<ordered_json> read_messages(const JsonReader& body, const BodyText& text) {
    const json* list = body.find(parameters::kOllamaMessages.name);
    if (list == nullptr) return ordered_json::array();
    const std::string where = body.where() + ": messages";
    if (!list->is_array()) return bad_input("{}: expected a list, found {}", where, shown_json(*list));
    const auto has_calls = [](const json& message) { return message.is_object() && message.contains("tool_calls"); };
    ordered_json ordered;
    if (std::ranges::any_of(*list, has_calls)) {
        RAFTER_TRY(ordered, ordered_member(text, "messages", *list, where));
    }
    OllamaMessages messages;
    for (std::size_t i = 0; i < list->size(); ++i) {
        RAFTER_TRY(const JsonReader message, JsonReader::open((*list)[i], fmt::format("{}[{}]", where, i)));
        RAFTER_TRY_VOID(messages.add(message, ordered.is_array() ? ordered[i] : ordered));
    }
    return messages.take();
}

// True: a thought is asked for.
Result<bool> read_think(const JsonReader& body, text::ChatTemplateInput& chat) {
    const json* think = body.find(parameters::kThink.name);
    if (think == nullptr) return false;
    const bool is_effort = *think == "low" || *think == "medium" || *think == "high";
    if (!think->is_boolean() && !is_effort) {
        return bad_input("{}: think: expected true, false, low, medium or high, found {}", body.where(), shown_json(*think));
    }
    const bool thinks = is_effort || think->get<bool>();
    // Two names that templates give to it.
    chat.variables["enable_thinking"] = chat.variables["thinking"] = thinks;
    if (is_effort) chat.variables["reasoning_effort"] = think->get<std::string>();
    return thinks;
}

Result<std::optional<OutputForm>> read_format(const JsonReader& body, const BodyText& text) {
    const json* format = body.find(parameters::kOllamaFormat.name);
    if (format == nullptr || *format == "") return std::optional<OutputForm>();
    if (*format == "json") return std::optional(OutputForm{.key = "format", .grammar = {grammar::GrammarKind::kJson}});
    const std::string where = body.where() + ": format";
    if (!format->is_object()) return bad_input("{}: expected \"json\" or a JSON schema, found {}", where, shown_json(*format));
    RAFTER_TRY(const ordered_json schema, ordered_member(text, "format", *format, where));
    std::string schema_text = schema.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    return std::optional(OutputForm{.key = "format", .grammar = {grammar::GrammarKind::kJsonSchema, std::move(schema_text)}});
}

Result<std::optional<std::uint32_t>> read_logprobs_of(const JsonReader& body) {
    RAFTER_TRY(const auto wanted, read_bool(body, parameters::kLogprobsOfChat));
    RAFTER_TRY(const auto n, read_whole(body, parameters::kTopLogprobs));
    if (!wanted.value_or(false)) return std::optional<std::uint32_t>();
    return std::optional<std::uint32_t>(n.value_or(0));
}

// What is to be answered, and what the template is to make of it.
struct Question {
    text::ChatTemplateInput chat;
    ToolRequest tools;
    std::string raw;  // in place of the chat, where `is_raw`
    bool is_raw = false;
    bool is_empty = false;  // nothing is to be answered
    bool thinks = false;
    std::vector<engine::TokenId> before;  // of an earlier conversation
    std::string_view key;                 // that asks it
};

Result<Question> read_chat_question(const JsonReader& body, const OpenAiDefaults& defaults) {
    Question question;
    RAFTER_TRY(question.chat.messages, read_messages(body, defaults.body));
    RAFTER_TRY(question.tools, read_tools(body, defaults.body, {}));
    if (question.tools.choice != ToolChoice::kNone) {
        for (const FunctionTool& tool : question.tools.tools) question.chat.tools.push_back(tool.definition);
    }
    question.key = parameters::kOllamaMessages.name;
    question.is_empty = question.chat.messages.empty();
    return question;
}

Result<Question> read_generate_question(const JsonReader& body, const engine::OpenedModel& opened, const OpenAiDefaults& defaults) {
    for (const Parameter& row : parameters::kUnsupportedInGenerate) RAFTER_TRY_VOID(check_unused(body, row));
    Question question;
    RAFTER_TRY(const auto prompt, read_text(body, parameters::kOllamaPrompt));
    RAFTER_TRY(const auto system, read_text(body, parameters::kOllamaSystem));
    RAFTER_TRY(const auto raw, read_bool(body, parameters::kRaw));
    const json* context = body.find(parameters::kOllamaContext.name);
    const bool has_context = context != nullptr && *context != json::array();
    question.key = parameters::kOllamaPrompt.name;
    question.is_raw = raw.value_or(false);
    question.is_empty = !prompt || prompt->empty();
    if (question.is_raw && ((system && !system->empty()) || has_context)) {
        return bad_input("{}: raw: expected neither system nor context with it, found {}", body.where(),
                         has_context ? "context" : "system");
    }
    if (has_context) {
        const std::string where = body.where() + ": context";
        if (!context->is_array()) return bad_input("{}: expected a list of token ids, found {}", where, shown_json(*context));
        RAFTER_TRY(question.before, prompt_tokens(*context, opened, defaults, where, false));
    }
    if (question.is_raw) {
        question.raw = prompt.value_or("");
    } else {
        if (system && !system->empty()) question.chat.messages.push_back({{"role", "system"}, {"content", *system}});
        question.chat.messages.push_back({{"role", "user"}, {"content", prompt.value_or("")}});
    }
    return question;
}

Result<std::vector<engine::TokenId>> ollama_tokens(const JsonReader& body, const Question& question, const engine::OpenedModel& opened,
                                                   const OpenAiDefaults& defaults, OllamaRequest& request) {
    const std::string where = fmt::format("{}: {}", body.where(), question.key);
    if (question.is_raw) return prompt_tokens(question.raw, opened, defaults, where, true);
    RAFTER_TRY(ChatPrompt prompt, chat_prompt(opened, question.chat, where, defaults, false));
    if (prompt.system_moved) request.warnings.emplace_back(text::kSystemMoved);
    if (question.before.empty()) {
        request.n_system_tokens = prompt.n_system_tokens;
        return std::move(prompt.tokens);
    }
    std::vector<engine::TokenId> tokens = question.before;
    const bool has_bos = opened.tokenizer->special().bos && prompt.tokens.front() == *opened.tokenizer->special().bos;
    tokens.insert(tokens.end(), prompt.tokens.begin() + (has_bos ? 1 : 0), prompt.tokens.end());
    RAFTER_TRY_VOID(check_prompt_tokens(tokens.size(), defaults, where));
    return tokens;
}

Result<void> check_thinks(const JsonReader& body, const Question& question, const AnswerRules* rules) {
    const bool can_think = rules != nullptr && rules->format.thought != ThoughtForm::kNone;
    if (!question.thinks || can_think) return {};
    return bad_input("{}: think: the model does not support thinking: expected false, found {}", body.where(),
                     shown_json(*body.find(parameters::kThink.name)));
}

}  // namespace

Result<OllamaRequest> parse_ollama_request(OllamaEndpoint endpoint, const json& body_json, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    OllamaRequest request;
    request.endpoint = endpoint;
    engine::Request& sequence = request.sequence;
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(const auto stream, read_bool(body, parameters::kOllamaStream));
    request.stream = stream.value_or(true);
    RAFTER_TRY(request.keep_alive_seconds, read_keep_alive(body));
    RAFTER_TRY(OllamaOptions options, read_ollama_options(body, opened.config.n_vocab, defaults));
    RAFTER_TRY(request.n_logprobs, read_logprobs_of(body));
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    const bool is_chat = endpoint == OllamaEndpoint::kChat;
    RAFTER_TRY(Question question, is_chat ? read_chat_question(body, defaults) : read_generate_question(body, opened, defaults));
    RAFTER_TRY(question.thinks, read_think(body, question.chat));
    RAFTER_TRY(auto form, read_format(body, defaults.body));
    request.warnings = std::move(options.warnings);
    const auto add_unknown_keys = [&] {
        request.unknown_keys = body.unknown_keys();
        request.unknown_keys.insert(request.unknown_keys.end(), options.unknown_keys.begin(), options.unknown_keys.end());
    };
    if (question.is_empty) {
        request.purpose = request.keep_alive_seconds == 0.0 ? OllamaPurpose::kUnload : OllamaPurpose::kLoad;
        RAFTER_TRY_VOID(read_whole(body, parameters::kThinkingTokenBudget));
        add_unknown_keys();
        return request;
    }
    RAFTER_TRY(sequence.prompt, ollama_tokens(body, question, opened, defaults, request));
    if (auto warning = engine::prompt_warning(opened, sequence.prompt)) request.warnings.push_back(*std::move(warning));
    request.n_prompt_tokens = sequence.prompt.size();
    request.with_context = !is_chat && !question.is_raw;
    AnswerWishes wishes{.form = std::move(form)};
    if (!question.is_raw) {
        wishes.tools = question.tools;
        RAFTER_TRY(wishes.thought_tokens, read_whole(body, parameters::kThinkingTokenBudget));
    }
    RAFTER_TRY(AnswerTerms terms, set_answer_terms(sequence, body.where(), std::move(wishes), opened, defaults, sequence.prompt));
    RAFTER_TRY_VOID(check_thinks(body, question, terms.rules.get()));
    request.rules = std::move(terms.rules);
    request.grammar = std::move(terms.grammar);
    sequence.sampling = std::move(options.sampling);
    sequence.stop = std::move(options.stop);
    sequence.max_tokens = answer_tokens(options.max_tokens, defaults.context, sequence.prompt.size());
    sequence.n_logprobs = request.n_logprobs;
    sequence.end_tokens = opened.tokenizer->special().end_of_generation;
    sequence.priority = request.priority;
    sequence.cache_salt = salt.value_or("");
    add_unknown_keys();
    return request;
}

bool asks_to_unload(OllamaEndpoint endpoint, const json& body_json) {
    const auto body = JsonReader::open(body_json, "body");
    if (!body) return false;
    const auto keep_alive = read_keep_alive(*body);
    if (!keep_alive || *keep_alive != 0.0) return false;
    const bool is_chat = endpoint == OllamaEndpoint::kChat;
    const json* question = body->find(is_chat ? parameters::kOllamaMessages.name : parameters::kOllamaPrompt.name);
    return question == nullptr || *question == (is_chat ? json::array() : json(""));
}

}  // namespace rafter::protocols
