// Items become messages of the chat template; a type of item that is no message is refused by its name.
#include "protocols/responses_request.h"

#include <array>

#include "base/json_reader.h"
#include "base/quote.h"
#include "engine/conversation.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/responses_parameters.h"

namespace rafter::protocols {
namespace {

constexpr std::size_t kMaxMetadata = 16;
constexpr std::size_t kMaxMetadataBytes = 512;
constexpr std::string_view kLogprobsIncluded = "message.output_text.logprobs";

Result<nlohmann::ordered_json> read_item(const JsonReader& item) {
    const nlohmann::json* type = item.find("type");
    if (type != nullptr && *type != "message") return not_supported(item, "type", *type, "\"message\"");
    RAFTER_TRY(std::string role, read_role(item));
    constexpr std::array<std::string_view, 2> kPartTypes = {"input_text", "output_text"};
    RAFTER_TRY(std::string content, read_content(item, kPartTypes));
    return nlohmann::ordered_json{{"role", std::move(role)}, {"content", std::move(content)}};
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
    for (std::size_t i = 0; i < input->size(); ++i) {
        RAFTER_TRY(const JsonReader item, JsonReader::open((*input)[i], fmt::format("{}: input[{}]", body.where(), i)));
        RAFTER_TRY(auto message, read_item(item));
        chat.messages.push_back(std::move(message));
    }
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
Result<void> check_values(const JsonReader& body) {
    for (const Parameter& row : parameters::kUnsupportedInResponses) RAFTER_TRY_VOID(check_unused(body, row));
    for (const Parameter& row : parameters::kWithoutEffectInResponses) RAFTER_TRY_VOID(check_unused(body, row));
    const nlohmann::json* choice = body.find(parameters::kToolChoice.name);
    if (choice != nullptr && *choice != "none" && *choice != "auto") return not_supported(body, "tool_choice", *choice, "\"none\"");
    const nlohmann::json* truncation = body.find(parameters::kTruncation.name);
    if (truncation != nullptr && *truncation != "disabled") return not_supported(body, "truncation", *truncation, "\"disabled\"");
    RAFTER_TRY(const auto text, body.find_object(parameters::kTextFormat.name));
    if (!text) return {};
    RAFTER_TRY(const auto format, text->find_object("format"));
    if (!format) return {};
    const nlohmann::json* type = format->find("type");
    if (type != nullptr && *type == "text") return {};
    return not_supported(*format, "type", type == nullptr ? nlohmann::json() : *type, "\"text\"");
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

}  // namespace

Result<ResponsesRequest> parse_responses_request(const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                                 const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY_VOID(check_values(body));
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
    RAFTER_TRY(ChatPrompt prompt, chat_prompt(opened, chat, body.where() + ": input", defaults, false));
    if (prompt.system_moved) request.warnings.emplace_back(text::kSystemMoved);
    if (auto warning = engine::prompt_warning(opened, prompt.tokens)) request.warnings.push_back(*std::move(warning));
    request.n_prompt_tokens = prompt.tokens.size();
    sequence.prompt = std::move(prompt.tokens);
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
