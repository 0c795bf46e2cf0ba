// Log-probabilities are reported for the tokens that the text shows: not for the end token, and not for what a stop text cut off.
#include "protocols/openai_answer.h"

#include <algorithm>

#include "protocols/openai_logprobs.h"
#include "protocols/openai_tools.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

engine::StreamUpdate whole_update(const OpenAiChoice& choice) {
    return {.tokens = choice.tokens, .text = choice.text, .finish = choice.finish};
}

std::vector<ShownToken> shown_tokens(const OpenAiRequest& request, const OpenAiChoice& choice, const text::Tokenizer& tokenizer) {
    engine::StreamUpdate whole = whole_update(choice);
    return ShownTokens(tokenizer, request.ignore_eos, request.rules ? request.rules->shown_tokens : std::vector<engine::TokenId>())
        .take(whole);
}

struct ChoiceAt {
    std::span<const OpenAiChoice> choices;
    std::size_t index;
    std::string_view answer_id;
};
// Adds to n_reasoning_tokens.
ordered_json choice_json(const OpenAiRequest& request, const ChoiceAt& at, const text::Tokenizer& tokenizer,
                         std::uint64_t& n_reasoning_tokens) {
    const auto [choices, index, answer_id] = at;
    const OpenAiChoice& choice = choices[index];
    const bool is_chat = request.endpoint == OpenAiEndpoint::kChatCompletions;
    const OpenAiEcho echo = request.echoes.empty() ? OpenAiEcho() : request.echoes[index / request.n];
    const bool has_logprobs = request.n_logprobs && (!echo.tokens.empty() || !choice.tokens.empty());
    const std::size_t n_top = request.n_logprobs.value_or(0);
    // The first choice of each prompt brings its scores.
    const std::vector<engine::TokenLogprobs>& scores = choices[index - index % request.n].prompt_scores;
    ordered_json result;
    AnswerReader reader(is_chat ? request.rules : nullptr, tokenizer);
    result["index"] = index;
    if (is_chat) {
        PartedAnswer parts;
        parts.add(reader.take(whole_update(choice)));
        n_reasoning_tokens += reader.n_reasoning_tokens();
        result["message"] = chat_message(parts, answer_id, index);
    } else {
        result["text"] = echo.text + choice.text;
    }
    result["logprobs"] = nullptr;
    if (has_logprobs && is_chat) result["logprobs"] = chat_logprobs(shown_tokens(request, choice, tokenizer), n_top, tokenizer);
    if (has_logprobs && !is_chat) {
        CompletionLogprobs logprobs(n_top, tokenizer);
        logprobs.add_echo(echo, scores);
        logprobs.add(shown_tokens(request, choice, tokenizer), n_characters(echo.text));
        result["logprobs"] = logprobs.take();
    }
    result["finish_reason"] = reader.finish_reason(choice.finish.reason);
    if (request.n_prompt_logprobs && !is_chat) {
        result["prompt_logprobs"] =
            prompt_logprobs(request.scored_prompts.at(index / request.n), scores, *request.n_prompt_logprobs, tokenizer);
    }
    return result;
}

}  // namespace

bool OpenAiChoice::take(engine::StreamUpdate&& update) {
    std::move(update.tokens.begin(), update.tokens.end(), std::back_inserter(tokens));
    std::move(update.prompt_scores.begin(), update.prompt_scores.end(), std::back_inserter(prompt_scores));
    text += update.text;
    if (!update.finish) return false;
    finish = *std::move(update.finish);
    return true;
}

OpenAiUsage openai_usage(std::uint64_t n_prompt_tokens, std::uint32_t n, std::span<const engine::Finish> finishes) {
    OpenAiUsage usage{.n_prompt_tokens = n_prompt_tokens, .n_cached_tokens = 0};
    for (const engine::Finish& finish : finishes) usage.n_generated_tokens += finish.times.n_generated;
    for (std::size_t first = 0; first < finishes.size(); first += n) {
        const auto of_prompt = finishes.subspan(first, std::min<std::size_t>(n, finishes.size() - first));
        *usage.n_cached_tokens += std::ranges::min(of_prompt, {}, [](const engine::Finish& f) { return f.times.n_reused; }).times.n_reused;
    }
    return usage;
}

ordered_json openai_usage_json(const OpenAiUsage& usage) {
    ordered_json json{{"prompt_tokens", usage.n_prompt_tokens},
                      {"completion_tokens", usage.n_generated_tokens},
                      {"total_tokens", usage.n_prompt_tokens + usage.n_generated_tokens}};
    if (usage.n_cached_tokens) json["prompt_tokens_details"] = {{"cached_tokens", *usage.n_cached_tokens}};
    json["completion_tokens_details"] = {{"reasoning_tokens", usage.n_reasoning_tokens}};
    return json;
}

ordered_json chat_message(const PartedAnswer& parts, std::string_view answer_id, std::size_t index) {
    ordered_json message{{"role", "assistant"}, {"content", parts.content}, {"refusal", nullptr}};
    if (parts.content.empty() && !parts.calls.empty()) message["content"] = nullptr;
    if (!parts.reasoning.empty()) message["reasoning_content"] = parts.reasoning;
    for (std::uint32_t i = 0; i < parts.calls.size(); ++i) {
        message["tool_calls"].push_back({{"id", call_id(answer_id, index, i)},
                                         {"type", "function"},
                                         {"function", {{"name", parts.calls[i].name}, {"arguments", parts.calls[i].arguments}}}});
    }
    return message;
}

ordered_json openai_answer(const OpenAiRequest& request, std::span<const OpenAiChoice> choices, const OpenAiIdentity& identity,
                           const text::Tokenizer& tokenizer, const OpenAiAnswerOptions& options) {
    const bool is_chat = request.endpoint == OpenAiEndpoint::kChatCompletions;
    ordered_json list = ordered_json::array();
    std::vector<engine::Finish> finishes;
    std::uint64_t n_reasoning_tokens = 0;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        list.push_back(choice_json(request, {choices, i, identity.id}, tokenizer, n_reasoning_tokens));
        finishes.push_back(choices[i].finish);
    }
    OpenAiUsage usage = openai_usage(request.n_prompt_tokens, request.n, finishes);
    usage.n_reasoning_tokens = n_reasoning_tokens;
    if (options.without_cached_tokens) usage.n_cached_tokens.reset();
    ordered_json answer{{"id", (is_chat ? "chatcmpl-" : "cmpl-") + identity.id},
                        {"object", is_chat ? "chat.completion" : "text_completion"},
                        {"created", identity.created_unix_s},
                        {"model", identity.model},
                        {"choices", std::move(list)},
                        {"usage", openai_usage_json(usage)}};
    if (request.n_prompt_logprobs && is_chat && !choices.empty()) {
        answer["prompt_logprobs"] =
            prompt_logprobs(request.scored_prompts.at(0), choices[0].prompt_scores, *request.n_prompt_logprobs, tokenizer);
    }
    if (options.timings != nullptr) answer["timings"] = timings_json(*options.timings);
    return answer;
}

}  // namespace rafter::protocols
