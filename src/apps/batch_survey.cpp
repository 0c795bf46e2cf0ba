// What is kept of a line are its prompts' tokens: rendering and tokenising is the work that a second parse would repeat.
#include "apps/batch_survey.h"

#include <algorithm>

#include "base/json_reader.h"
#include "base/quote.h"
#include "base/xxh3.h"

namespace rafter::apps {
namespace {

// A request without a seed gets one of its own, the same in every run.
std::uint64_t seed_of(std::string_view custom_id) { return xxh3(custom_id); }

}  // namespace

BatchParser::BatchParser(const engine::OpenedModel& opened, const Options& options)
    : n_tokens_(options.n_tokens),
      opened_(opened),
      // The context that is chosen for the cache later depends on all lines.
      context_(std::min(options.context.value_or(opened.config.n_context), opened.config.n_context)),
      answer_format_(options.answer_format),
      grammars_(std::make_unique<grammar::GrammarCompiler>(*opened.tokenizer)) {}

Result<protocols::OpenAiRequest> BatchParser::parse_again(const BatchLine& line, const Prompts& prompts) const {
    RAFTER_TRY(const nlohmann::json value, parse_json(line.text, "line"));
    return parse(line, value, &prompts);
}

Result<protocols::OpenAiRequest> BatchParser::parse(const BatchLine& line, const nlohmann::json& value, const Prompts* prompts) const {
    RAFTER_TRY(const JsonReader reader, JsonReader::open(value, "line"));
    RAFTER_TRY(const auto method, reader.find_string("method"));
    RAFTER_TRY(const auto url, reader.find_string("url"));
    if (method != "POST") return bad_input("method: expected POST, found {}", method ? quote(*method) : "no such key");
    const auto endpoint = protocols::find_openai_endpoint(url.value_or(""));
    if (!endpoint) {
        return bad_input("url: expected /v1/chat/completions or /v1/completions, found {}", url ? quote(*url) : "no such key");
    }
    const nlohmann::json* body = reader.find("body");
    if (body == nullptr) return bad_input("body: expected an object, found no such key");
    const protocols::OpenAiDefaults defaults{.max_tokens = n_tokens_,
                                             .seed = seed_of(line.custom_id),
                                             .prompts = prompts,
                                             .body = {.text = line.text, .inside = "body"},
                                             .format = answer_format_,
                                             .grammars = grammars_.get(),
                                             .waits_for_grammars = true};
    RAFTER_TRY(protocols::OpenAiRequest request, protocols::parse_openai_request(*endpoint, *body, opened_, defaults));
    if (request.stream) return bad_input("body: stream: expected false, found true: results come as a whole");
    for (const engine::Request& choice : request.choices) {
        if (choice.prompt.size() < context_) continue;
        return bad_input("the prompt is too long: expected at most {} tokens in a context of {}, found {}", context_ - 1, context_,
                         choice.prompt.size());
    }
    return request;
}

std::uint32_t BatchParser::room_for(const engine::Request& choice) const {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(context_, std::uint64_t{choice.max_tokens} + choice.prompt.size()));
}

RequestSettings BatchParser::settings_of(const Result<protocols::OpenAiRequest>& request) const {
    // A request that would fit into a longer context, or an answer that would go on there, is asked again with one.
    const auto is_limited = [&](const engine::Request& choice) {
        return std::uint64_t{choice.max_tokens} + choice.prompt.size() > context_;
    };
    const bool limits = !request || std::ranges::any_of(request->choices, is_limited);
    return {.n_tokens = n_tokens_, .context = limits ? std::optional(context_) : std::nullopt};
}

void BatchSurvey::add(const BatchLine& line, const Result<nlohmann::json>& value) {
    Surveyed& surveyed = surveyed_.emplace_back();
    auto request = value ? parser_.parse(line, *value, nullptr) : value.error();
    surveyed.request_hash = request_hash(line, value ? &*value : nullptr, parser_.settings_of(request));
    if (!request) {
        surveyed.error = request.error();
        return;
    }
    for (const engine::Request& choice : request->choices) {
        const std::uint32_t room = parser_.room_for(choice);
        longest = std::max(longest, room);
        longest_.push(room);
        sum_of_longest += room;
        if (longest_.size() <= n_together_) continue;
        sum_of_longest -= longest_.top();
        longest_.pop();
    }
    surveyed.unknown_keys = request->unknown_keys;
    surveyed.warnings = request->warnings;
    surveyed.is_chat = request->endpoint == protocols::OpenAiEndpoint::kChatCompletions;
    for (std::size_t i = 0; i < request->choices.size(); i += request->n) {
        surveyed.prompts.push_back(std::move(request->choices[i].prompt));
        surveyed.prompts.back().shrink_to_fit();
    }
}

void BatchSurvey::finish(const BatchRequests& requests, const BatchResults& results, std::uint64_t model_identity) {
    for (std::size_t i = 0; i < surveyed_.size(); ++i) {
        Surveyed& surveyed = surveyed_[i];
        const BatchLine* line = &requests.lines()[i];
        if (const std::optional<ResultIdentity>* result = results.find(line->custom_id)) {
            const bool is_same_model = !*result || (*result)->model == model_identity;
            if (is_same_model && (!*result || (*result)->request == surveyed.request_hash)) {
                earlier.n_done += 1;
                earlier.n_unknown += *result ? 0 : 1;
                continue;
            }
            (is_same_model ? earlier.n_other_request : earlier.n_other_model) += 1;
            earlier.replaced.insert(line->custom_id);
        }
        if (surveyed.error) {
            refused.push_back({line, *std::move(surveyed.error), surveyed.request_hash});
            continue;
        }
        to_do.push_back({line, std::move(surveyed.prompts), surveyed.request_hash});
        unknown_keys.insert(surveyed.unknown_keys.begin(), surveyed.unknown_keys.end());
        warnings.insert(surveyed.warnings.begin(), surveyed.warnings.end());
        has_chats |= surveyed.is_chat;
    }
    surveyed_.clear();
}

}  // namespace rafter::apps
