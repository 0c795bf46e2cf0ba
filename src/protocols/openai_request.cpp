// A key whose value is null counts as missing, as with OpenAI.
#include "protocols/openai_request.h"

#include <algorithm>

#include "base/json_reader.h"
#include "base/quote.h"
#include "engine/conversation.h"
#include "engine/sampling/noise.h"
#include "protocols/answer_rules.h"
#include "protocols/openai_parameters.h"
#include "protocols/openai_prompts.h"
#include "protocols/openai_sampling.h"
#include "protocols/structured_output.h"

namespace rafter::protocols {
namespace {

using engine::TokenId;

// Every choice has its prompt's tokens: what one body can make of them is bounded.
constexpr std::uint64_t kMaxPromptTokens = 16'000'000;
// And its biases.
constexpr std::uint64_t kMaxBiases = 4'000'000;

// Keys whose values are partly known.
Result<void> check_chat_values(const JsonReader& body) {
    if (const nlohmann::json* value = body.find(parameters::kBestOf.name); value != nullptr && *value != 1) {
        return not_supported(body, "best_of", *value, "1");
    }
    const nlohmann::json* modalities = body.find(parameters::kModalities.name);
    if (modalities != nullptr && *modalities != nlohmann::json::array({"text"})) {
        return not_supported(body, "modalities", *modalities, "[\"text\"]");
    }
    return {};
}

Result<void> check_unused_keys(const JsonReader& body) {
    for (const Parameter& row : parameters::kUnsupported) RAFTER_TRY_VOID(check_unused(body, row));
    for (const Parameter& row : parameters::kWithoutEffect) RAFTER_TRY_VOID(check_unused(body, row));
    return check_chat_values(body);
}

// Scores alone are an answer: then it may have no tokens.
Result<std::optional<std::uint32_t>> read_max_tokens(const JsonReader& body, OpenAiEndpoint endpoint, bool has_scores) {
    if (endpoint == OpenAiEndpoint::kCompletions) {
        return read_whole(body, has_scores ? parameters::kMaxTokensOfCompletion : parameters::kMaxTokens);
    }
    RAFTER_TRY(const auto most, read_whole(body, parameters::kMaxTokens));
    RAFTER_TRY(const auto completion, read_whole(body, parameters::kMaxCompletionTokens));
    if (completion && most && *completion != *most) {
        return bad_input("{}: max_completion_tokens: expected max_tokens's {} or only one of the two, found {}", body.where(), *most,
                         *completion);
    }
    return completion ? completion : most;
}

Result<std::optional<std::uint32_t>> read_logprobs(const JsonReader& body, OpenAiEndpoint endpoint) {
    if (endpoint == OpenAiEndpoint::kCompletions) return read_whole(body, parameters::kLogprobs);
    RAFTER_TRY(const auto wanted, read_bool(body, parameters::kLogprobsOfChat));
    RAFTER_TRY(const auto n, read_whole(body, parameters::kTopLogprobs));
    if (n.value_or(0) > 0 && !wanted.value_or(false)) {
        return bad_input("{}: top_logprobs: expected logprobs to be true with it, found {}", body.where(),
                         wanted ? "false" : "no such key");
    }
    if (!wanted.value_or(false)) return std::optional<std::uint32_t>();
    return std::optional<std::uint32_t>(n.value_or(0));
}

// A chat has no echo.
Result<bool> read_echo(const JsonReader& body, OpenAiEndpoint endpoint) {
    const nlohmann::json* value = body.find(parameters::kEcho.name);
    if (value == nullptr || says_nothing(*value)) return false;
    RAFTER_TRY(const auto echo, body.find_bool(parameters::kEcho.name));
    if (endpoint == OpenAiEndpoint::kChatCompletions && echo.value_or(false)) return not_supported(body, "echo", true);
    return echo.value_or(false);
}

Result<void> read_stream(const JsonReader& body, OpenAiRequest& request) {
    RAFTER_TRY(const auto stream, read_bool(body, parameters::kStream));
    request.stream = stream.value_or(false);
    RAFTER_TRY(const auto options, body.find_object(parameters::kStreamOptions.name));
    if (!options) return {};
    RAFTER_TRY(const auto usage, options->find_bool("include_usage"));
    request.stream_usage = usage.value_or(false);
    return {};
}

// What is not the engine's matter.
Result<void> read_service(const JsonReader& body, OpenAiRequest& request) {
    RAFTER_TRY(request.model, read_text(body, parameters::kModel));
    RAFTER_TRY(request.priority, read_priority(body));
    RAFTER_TRY(request.max_ttft_seconds, read_number(body, parameters::kMaxTtftSeconds));
    RAFTER_TRY(const auto timings, read_bool(body, parameters::kTimings));
    request.timings = timings.value_or(true);
    return read_stream(body, request);
}

Result<std::optional<std::uint32_t>> read_prompt_logprobs(const JsonReader& body, const OpenAiRequest& request) {
    RAFTER_TRY(const auto n, read_whole(body, parameters::kPromptLogprobs));
    if (n && request.stream) return bad_input("{}: prompt_logprobs: expected stream to be false with it, found true", body.where());
    return n;
}

Result<void> check_sizes(const JsonReader& body, const Prompts& prompts, std::uint32_t n, std::size_t n_biases) {
    if (prompts.tokens.size() * n > kMaxChoices) {
        return bad_input("{}: expected at most {} choices, found n = {} of {} prompts", body.where(), kMaxChoices, n,
                         prompts.tokens.size());
    }
    const std::uint64_t n_all_biases = std::uint64_t{n_biases} * prompts.tokens.size() * n;
    if (n_all_biases > kMaxBiases) {
        return bad_input("{}: logit_bias: expected at most {} over all choices, found {}", body.where(), kMaxBiases, n_all_biases);
    }
    std::uint64_t n_tokens = 0;
    for (const std::vector<TokenId>& prompt : prompts.tokens) n_tokens += std::uint64_t{prompt.size()} * n;
    if (n_tokens <= kMaxPromptTokens) return {};
    return bad_input("{}: expected at most {} tokens in the prompts of all choices, found {}", body.where(), kMaxPromptTokens, n_tokens);
}

// The choices of one prompt.
struct ChoicesOfPrompt {
    const std::vector<TokenId>& prompt;
    engine::Request choice;  // without prompt
    bool scored = false;     // the first choice brings the prompt's scores, for all
};
void add_choices(OpenAiRequest& request, ChoicesOfPrompt of) {
    const std::uint64_t seed = of.choice.sampling.seed;
    for (std::uint32_t i = 0; i < request.n; ++i) {
        engine::Request& choice = request.choices.emplace_back(of.choice);
        choice.prompt = of.prompt;
        choice.sampling.seed = engine::derived_seed(seed, i);
        choice.n_logprobs = request.n_logprobs;
        if (!of.scored || i > 0) continue;
        choice.score_prompt_from = 0;
        choice.n_logprobs = std::max(request.n_logprobs.value_or(0), request.n_prompt_logprobs.value_or(0));
    }
}

}  // namespace

std::uint32_t answer_tokens(std::optional<std::uint32_t> given, std::optional<std::uint32_t> context, std::size_t n_prompt) {
    if (given) return *given;
    if (!context) return UINT32_MAX;
    return n_prompt < *context ? static_cast<std::uint32_t>(*context - n_prompt) : 1;
}

std::optional<OpenAiEndpoint> find_openai_endpoint(std::string_view path) {
    if (path == "/v1/chat/completions") return OpenAiEndpoint::kChatCompletions;
    if (path == "/v1/completions") return OpenAiEndpoint::kCompletions;
    return std::nullopt;
}

Result<OpenAiRequest> parse_openai_request(OpenAiEndpoint endpoint, const nlohmann::json& body_json, const engine::OpenedModel& opened,
                                           const OpenAiDefaults& defaults) {
    RAFTER_TRY(const JsonReader body, JsonReader::open(body_json, "body"));
    RAFTER_TRY_VOID(check_unused_keys(body));
    OpenAiRequest request;
    request.endpoint = endpoint;
    RAFTER_TRY_VOID(read_service(body, request));
    engine::Request choice;
    RAFTER_TRY(choice.sampling, read_sampling(body, opened.config.n_vocab, defaults.seed));
    RAFTER_TRY(const bool echo, read_echo(body, endpoint));
    RAFTER_TRY(request.n_prompt_logprobs, read_prompt_logprobs(body, request));
    RAFTER_TRY(auto max_tokens, read_max_tokens(body, endpoint, echo || request.n_prompt_logprobs));
    if (!max_tokens) max_tokens = defaults.max_tokens;
    RAFTER_TRY(const auto min_tokens, read_whole(body, parameters::kMinTokens));
    RAFTER_TRY(choice.stop, read_stops(body));
    RAFTER_TRY(request.n_logprobs, read_logprobs(body, endpoint));
    RAFTER_TRY(const auto n, read_whole(body, parameters::kN));
    RAFTER_TRY(const auto ignore_eos, read_bool(body, parameters::kIgnoreEos));
    RAFTER_TRY(const auto salt, read_text(body, parameters::kCacheSalt));
    choice.end_tokens = opened.tokenizer->special().end_of_generation;
    choice.ignore_eos = request.ignore_eos = ignore_eos.value_or(false);
    choice.min_tokens = min_tokens.value_or(0);
    choice.cache_salt = salt.value_or("");
    choice.priority = request.priority;
    request.n = n.value_or(1);

    const bool is_chat = endpoint == OpenAiEndpoint::kChatCompletions;
    ChatBody chat;
    if (is_chat) {
        RAFTER_TRY(chat, read_chat(body, defaults.body));
    } else {
        for (const Parameter& row : parameters::kUnsupportedInCompletions) RAFTER_TRY_VOID(check_unused(body, row));
    }
    RAFTER_TRY(Prompts prompts,
               is_chat ? chat_prompts(body, chat.input, opened, defaults) : completion_prompts(body, opened, defaults, echo));
    RAFTER_TRY_VOID(check_sizes(body, prompts, request.n, choice.sampling.logit_bias.size()));
    request.n_system_tokens = prompts.n_system_tokens;
    if (prompts.system_moved) request.warnings.emplace_back(text::kSystemMoved);
    if (echo) request.echoes = std::move(prompts.echoes);
    AnswerWishes wishes;
    if (is_chat) {
        wishes.tools = std::move(chat.tools);
        RAFTER_TRY(wishes.thought_tokens, read_whole(body, parameters::kThinkingTokenBudget));
    }
    RAFTER_TRY(wishes.form, read_output_form(body, defaults.body));
    RAFTER_TRY(AnswerTerms terms, set_answer_terms(choice, body.where(), std::move(wishes), opened, defaults, prompts.tokens.at(0)));
    request.rules = std::move(terms.rules);
    request.grammar = std::move(terms.grammar);
    for (std::size_t i = 0; i < prompts.tokens.size(); ++i) {
        const std::vector<TokenId>& prompt = prompts.tokens[i];
        choice.max_tokens = answer_tokens(max_tokens, defaults.context, prompt.size());
        if (choice.min_tokens > choice.max_tokens) {
            return bad_input("{}: min_tokens: expected at most the {} of max_tokens, found {}", body.where(), choice.max_tokens,
                             choice.min_tokens);
        }
        const bool scored_echo = echo && request.n_logprobs;
        if (scored_echo) request.echoes[i].tokens = prompt;
        if (auto warning = engine::prompt_warning(opened, prompt)) request.warnings.push_back(*std::move(warning));
        request.n_prompt_tokens += prompt.size();
        add_choices(request, {.prompt = prompt, .choice = choice, .scored = scored_echo || request.n_prompt_logprobs.has_value()});
    }
    if (request.n_prompt_logprobs) request.scored_prompts = std::move(prompts.tokens);
    request.unknown_keys = body.unknown_keys();
    return request;
}

}  // namespace rafter::protocols
