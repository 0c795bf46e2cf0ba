// The prompt is anthropic_prompt.h's; here is what the answer may be.
#include "protocols/anthropic_request.h"

#include "base/json_reader.h"
#include "engine/conversation.h"
#include "protocols/answer_rules.h"
#include "protocols/anthropic_parameters.h"
#include "protocols/anthropic_prompt.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/structured_output.h"

namespace rafter::protocols {
namespace {

// What is not the engine's matter.
Result<void> read_service_of_message(const JsonReader& body, AnthropicRequest& request) {
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(const auto stream, read_bool(body, parameters::kStream));
    RAFTER_TRY(const auto timings, read_bool(body, parameters::kTimings));
    request.stream = stream.value_or(false);
    request.timings = timings.value_or(true);
    return {};
}

Result<void> read_length_of_message(const JsonReader& body, engine::Request& sequence) {
    RAFTER_TRY(const auto max_tokens, read_whole(body, parameters::kMaxTokensOfMessage));
    RAFTER_TRY(const auto min_tokens, read_whole(body, parameters::kMinTokens));
    if (!max_tokens) return bad_input("{}: max_tokens: expected a whole number, found no such key", body.where());
    sequence.max_tokens = *max_tokens;
    sequence.min_tokens = min_tokens.value_or(0);
    if (sequence.min_tokens <= sequence.max_tokens) return {};
    return bad_input("{}: min_tokens: expected at most the {} of max_tokens, found {}", body.where(), sequence.max_tokens,
                     sequence.min_tokens);
}

Result<void> check_unused_of_message(const JsonReader& body) {
    for (const Parameter& row : parameters::kUnsupportedInMessages) RAFTER_TRY_VOID(check_unused(body, row));
    for (const Parameter& row : parameters::kWithoutEffectInMessages) RAFTER_TRY_VOID(check_unused(body, row));
    return {};
}

}  // namespace

Result<AnthropicRequest> parse_anthropic_request(const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                                 const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY_VOID(check_unused_of_message(body));
    AnthropicRequest request;
    engine::Request& sequence = request.sequence;
    RAFTER_TRY_VOID(read_service_of_message(body, request));
    RAFTER_TRY(const auto ignore_eos, read_bool(body, parameters::kIgnoreEos));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    RAFTER_TRY(sequence.sampling, read_sampling(body, opened.config.n_vocab, defaults.seed));
    RAFTER_TRY(sequence.stop, read_stops(body, parameters::kStopSequences.name));
    RAFTER_TRY_VOID(read_length_of_message(body, sequence));
    RAFTER_TRY(const AnthropicChat chat, read_anthropic_chat(body, defaults.body));
    RAFTER_TRY(ChatPrompt prompt, chat_prompt(opened, chat.input, body.where() + ": messages", defaults, false));
    if (prompt.system_moved) request.warnings.emplace_back(text::kSystemMoved);
    if (auto warning = engine::prompt_warning(opened, prompt.tokens)) request.warnings.push_back(*std::move(warning));
    request.n_prompt_tokens = prompt.tokens.size();
    request.n_system_tokens = prompt.n_system_tokens;
    sequence.prompt = std::move(prompt.tokens);
    AnswerWishes wishes{.tools = chat.tools, .thought_tokens = chat.thought_tokens};
    RAFTER_TRY(wishes.form, read_message_format(body, defaults.body));
    RAFTER_TRY(AnswerTerms terms, set_answer_terms(sequence, body.where(), std::move(wishes), opened, defaults, sequence.prompt));
    request.rules = std::move(terms.rules);
    request.grammar = std::move(terms.grammar);
    sequence.end_tokens = opened.tokenizer->special().end_of_generation;
    sequence.ignore_eos = ignore_eos.value_or(false);
    sequence.priority = request.priority;
    sequence.cache_salt = salt.value_or("");
    request.stop_sequences = sequence.stop;
    request.unknown_keys = body.unknown_keys();
    return request;
}

Result<TokenizeAnswer> count_anthropic_tokens(const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                              const OpenAiDefaults& given) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY_VOID(check_unused_of_message(body));
    OpenAiDefaults defaults = given;
    defaults.context.reset();
    RAFTER_TRY(const auto model, read_text(body, parameters::kModel));
    RAFTER_TRY(const AnthropicChat chat, read_anthropic_chat(body, defaults.body));
    RAFTER_TRY(const ChatPrompt prompt, chat_prompt(opened, chat.input, body.where() + ": messages", defaults, false));
    return TokenizeAnswer{{{"input_tokens", prompt.tokens.size()}}, model, body.unknown_keys()};
}

}  // namespace rafter::protocols
