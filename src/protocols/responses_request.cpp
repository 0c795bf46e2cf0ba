// Items become messages of the chat template; a type of item that is no message is refused by its name.
#include "protocols/responses_request.h"

#include <array>

#include "base/json_reader.h"
#include "base/quote.h"
#include "engine/conversation.h"
#include "protocols/answer_rules.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/responses_parameters.h"
#include "protocols/structured_output.h"

namespace rafter::protocols {
namespace {

constexpr std::size_t kMaxMetadata = 16;
constexpr std::size_t kMaxMetadataBytes = 512;
constexpr std::string_view kLogprobsIncluded = "message.output_text.logprobs";

using Messages = nlohmann::ordered_json;

// An assistant's message to which calls and a text can be added; the thought that waits goes there.
nlohmann::ordered_json& assistant_message(Messages& messages, std::string& thought) {
    const bool goes_on = !messages.empty() && messages.back()["role"] == "assistant" && thought.empty();
    if (!goes_on) messages.push_back({{"role", "assistant"}, {"content", ""}});
    if (!thought.empty()) messages.back()["reasoning_content"] = std::exchange(thought, {});
    return messages.back();
}

Result<void> read_call(const JsonReader& item, Messages& messages, std::string& thought) {
    RAFTER_TRY(const auto id, item.find_string("call_id"));
    RAFTER_TRY(const auto name, item.find_string("name"));
    RAFTER_TRY(const auto arguments, item.find_string("arguments"));
    if (!id || !name || !arguments) {
        return bad_input("{}: expected call_id, name and arguments, each a text, found no {}", item.where(),
                         !id     ? "call_id"
                         : !name ? "name"
                                 : "arguments");
    }
    RAFTER_TRY(nlohmann::ordered_json object, ordered_object(arguments->empty() ? "{}" : *arguments, item.where() + ": arguments"));
    assistant_message(messages, thought)["tool_calls"].push_back(
        {{"id", *id}, {"type", "function"}, {"function", {{"name", *name}, {"arguments", std::move(object)}}}});
    return {};
}

Result<void> read_call_output(const JsonReader& item, Messages& messages) {
    RAFTER_TRY(const auto id, item.find_string("call_id"));
    RAFTER_TRY(const auto output, item.find_string("output"));
    if (!id || !output) {
        return bad_input("{}: expected call_id and output, each a text, found no {}", item.where(), !id ? "call_id" : "output");
    }
    messages.push_back({{"role", "tool"}, {"content", *output}, {"tool_call_id", *id}});
    return {};
}

Result<void> read_thought(const JsonReader& item, std::string& thought) {
    const nlohmann::json* content = item.find("content");
    if (content == nullptr) return {};
    if (!content->is_array()) return bad_input("{}: content: expected a list, found {}", item.where(), shown_json(*content));
    for (std::size_t i = 0; i < content->size(); ++i) {
        RAFTER_TRY(const JsonReader part, JsonReader::open((*content)[i], fmt::format("{}: content[{}]", item.where(), i)));
        RAFTER_TRY(const auto text, part.find_string("text"));
        thought += text.value_or("");
    }
    return {};
}

// thought: of a reasoning item that waits for the message it is of.
Result<void> read_item(const JsonReader& item, Messages& messages, std::string& thought) {
    const nlohmann::json* type = item.find("type");
    if (type != nullptr && *type == "function_call") return read_call(item, messages, thought);
    if (type != nullptr && *type == "function_call_output") return read_call_output(item, messages);
    if (type != nullptr && *type == "reasoning") return read_thought(item, thought);
    if (type != nullptr && *type != "message") return not_supported(item, "type", *type, "\"message\"");
    RAFTER_TRY(std::string role, read_role(item, ToolRole::kRefused));
    constexpr std::array<std::string_view, 2> kPartTypes = {"input_text", "output_text"};
    RAFTER_TRY(std::string content, read_content(item, kPartTypes));
    if (role == "assistant" && !thought.empty()) {
        assistant_message(messages, thought)["content"] = std::move(content);
    } else {
        messages.push_back({{"role", std::move(role)}, {"content", std::move(content)}});
    }
    return {};
}

Result<void> read_input(const JsonReader& body, text::ChatTemplateInput& chat) {
    const nlohmann::json* input = body.find(parameters::kInput.name);
    if (input != nullptr && input->is_string()) {
        chat.messages.push_back({{"role", "user"}, {"content", input->get<std::string>()}});
        return {};
    }
    if (input == nullptr || !input->is_array() || input->empty()) {
        return bad_input("{}: input: expected a text or a list of at least one message, found {}", body.where(),
                         input == nullptr ? "no such key" : shown_json(*input));
    }
    std::string thought;
    for (std::size_t i = 0; i < input->size(); ++i) {
        RAFTER_TRY(const JsonReader item, JsonReader::open((*input)[i], fmt::format("{}: input[{}]", body.where(), i)));
        RAFTER_TRY_VOID(read_item(item, chat.messages, thought));
    }
    if (chat.messages.empty()) return bad_input("{}: input: expected at least one message, found none", body.where());
    name_results(chat.messages);
    return {};
}

Result<void> read_metadata(const JsonReader& body, ResponsesRequest& request) {
    RAFTER_TRY(const auto metadata, body.find_object(parameters::kMetadata.name));
    if (!metadata) return {};
    const std::vector<std::string> keys = metadata->unknown_keys();
    if (keys.size() > kMaxMetadata) {
        return bad_input("{}: expected at most {} keys, found {}", metadata->where(), kMaxMetadata, keys.size());
    }
    for (const std::string& key : keys) {
        const nlohmann::json* value = metadata->find(key);
        const bool is_text = value != nullptr && value->is_string();
        if (!is_text || key.size() > kMaxMetadataBytes || value->get_ref<const std::string&>().size() > kMaxMetadataBytes) {
            return bad_input("{}: expected texts of at most {} bytes, found {}: {}", metadata->where(), kMaxMetadataBytes, quote(key),
                             value == nullptr ? "null" : shown_json(*value));
        }
        request.metadata[key] = value->get<std::string>();
    }
    return {};
}

// Keys of which some values can be served.
Result<void> check_response_values(const JsonReader& body) {
    for (const Parameter& row : parameters::kUnsupportedInResponses) RAFTER_TRY_VOID(check_unused(body, row));
    for (const Parameter& row : parameters::kWithoutEffectInResponses) RAFTER_TRY_VOID(check_unused(body, row));
    const nlohmann::json* truncation = body.find(parameters::kTruncation.name);
    if (truncation != nullptr && *truncation != "disabled") return not_supported(body, "truncation", *truncation, "\"disabled\"");
    return {};
}

Result<void> read_logprobs(const JsonReader& body, ResponsesRequest& request) {
    RAFTER_TRY(const auto top, read_whole(body, parameters::kTopLogprobsOfResponse));
    request.top_logprobs = top.value_or(0);
    const nlohmann::json* include = body.find(parameters::kInclude.name);
    if (include == nullptr) return {};
    if (!include->is_array()) return bad_input("{}: include: expected a list of texts, found {}", body.where(), shown_json(*include));
    for (const nlohmann::json& name : *include) {
        if (name == kLogprobsIncluded) {
            request.n_logprobs = request.top_logprobs;
        } else if (name != "reasoning.encrypted_content") {
            return not_supported(body, "include", name, fmt::format("\"{}\"", kLogprobsIncluded));
        }
    }
    return {};
}

Result<void> read_reasoning(const JsonReader& body, ResponsesRequest& request, text::ChatTemplateInput& chat) {
    RAFTER_TRY_VOID(read_template_variables(body, chat));
    RAFTER_TRY(const auto reasoning, body.find_object(parameters::kReasoning.name));
    if (!reasoning) return {};
    RAFTER_TRY(request.reasoning_effort, reasoning->find_string("effort"));
    if (request.reasoning_effort) chat.variables["reasoning_effort"] = *request.reasoning_effort;
    return {};
}

Result<void> read_length(const JsonReader& body, const OpenAiDefaults& defaults, ResponsesRequest& request) {
    engine::Request& sequence = request.sequence;
    RAFTER_TRY(request.max_output_tokens, read_whole(body, parameters::kMaxOutputTokens));
    const auto given = request.max_output_tokens ? request.max_output_tokens : defaults.max_tokens;
    sequence.max_tokens = answer_tokens(given, defaults.context, sequence.prompt.size());
    RAFTER_TRY(const auto min_tokens, read_whole(body, parameters::kMinTokens));
    sequence.min_tokens = min_tokens.value_or(0);
    if (sequence.min_tokens <= sequence.max_tokens) return {};
    return bad_input("{}: min_tokens: expected at most the {} of max_output_tokens, found {}", body.where(), sequence.max_tokens,
                     sequence.min_tokens);
}

// What the answer repeats, and what the prompt says.
void add_tools(const JsonReader& body, const ToolRequest& tools, text::ChatTemplateInput& chat, ResponsesRequest& request) {
    if (const nlohmann::json* given = body.find(parameters::kToolsOfResponse.name)) request.tools = *given;
    if (const nlohmann::json* given = body.find(parameters::kToolChoiceOfResponse.name)) request.tool_choice = *given;
    request.parallel_tool_calls = tools.parallel;
    if (tools.choice == ToolChoice::kNone) return;
    for (const FunctionTool& tool : tools.tools) chat.tools.push_back(tool.definition);
}

}  // namespace

Result<ResponsesRequest> parse_responses_request(const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                                 const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY_VOID(check_response_values(body));
    ResponsesRequest request;
    engine::Request& sequence = request.sequence;
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(const auto stream, read_bool(body, parameters::kStream));
    RAFTER_TRY(const auto timings, read_bool(body, parameters::kTimings));
    RAFTER_TRY(const auto ignore_eos, read_bool(body, parameters::kIgnoreEos));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(sequence.sampling, read_sampling(body, opened.config.n_vocab, defaults.seed));
    RAFTER_TRY(sequence.stop, read_stops(body));
    RAFTER_TRY_VOID(read_logprobs(body, request));
    RAFTER_TRY_VOID(read_metadata(body, request));
    RAFTER_TRY(request.instructions, read_text(body, parameters::kInstructions));
    request.stream = stream.value_or(false);
    request.timings = timings.value_or(true);
    request.ignore_eos = ignore_eos.value_or(false);

    text::ChatTemplateInput chat;
    if (request.instructions) chat.messages.push_back({{"role", "system"}, {"content", *request.instructions}});
    RAFTER_TRY_VOID(read_input(body, chat));
    RAFTER_TRY_VOID(read_reasoning(body, request, chat));
    RAFTER_TRY(ToolRequest tools, read_tools(body, defaults.body, {.nested = false}));
    add_tools(body, tools, chat, request);
    RAFTER_TRY(ChatPrompt prompt, chat_prompt(opened, chat, body.where() + ": input", defaults, false));
    if (prompt.system_moved) request.warnings.emplace_back(text::kSystemMoved);
    if (auto warning = engine::prompt_warning(opened, prompt.tokens)) request.warnings.push_back(*std::move(warning));
    request.n_prompt_tokens = prompt.tokens.size();
    request.n_system_tokens = prompt.n_system_tokens;
    sequence.prompt = std::move(prompt.tokens);
    AnswerWishes wishes{.tools = std::move(tools)};
    RAFTER_TRY(wishes.thought_tokens, read_whole(body, parameters::kThinkingTokenBudget));
    RAFTER_TRY(wishes.form, read_text_format(body, defaults.body));
    if (wishes.form) request.text_format = body.find(parameters::kTextFormat.name)->at("format");
    RAFTER_TRY(AnswerTerms terms, set_answer_terms(sequence, body.where(), std::move(wishes), opened, defaults, sequence.prompt));
    request.rules = std::move(terms.rules);
    request.grammar = std::move(terms.grammar);
    RAFTER_TRY_VOID(read_length(body, defaults, request));
    sequence.n_logprobs = request.n_logprobs;
    sequence.end_tokens = opened.tokenizer->special().end_of_generation;
    sequence.ignore_eos = request.ignore_eos;
    sequence.priority = request.priority;
    sequence.cache_salt = salt.value_or("");
    request.unknown_keys = body.unknown_keys();
    return request;
}

}  // namespace rafter::protocols
