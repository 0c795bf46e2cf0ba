// A request that is kept is one whose prompt was rendered and tokenised: the work that a second parse would repeat.
#include "apps/batch_survey.h"

#include <algorithm>

#include "base/json_reader.h"
#include "base/quote.h"
#include "base/xxh3.h"

namespace rafter::apps {
namespace {

// A request without a seed gets one of its own, the same in every run.
std::uint64_t seed_of(std::string_view custom_id) { return xxh3(custom_id); }

// What a request takes in memory, but for its few texts.
std::size_t size_bytes(const protocols::OpenAiRequest& request) {
    std::size_t bytes = sizeof(request);
    for (const engine::Request& choice : request.choices) bytes += sizeof(choice) + choice.prompt.size() * sizeof(engine::TokenId);
    return bytes;
}

}  // namespace

BatchParser::BatchParser(const engine::OpenedModel& opened, const Options& options)
    : n_tokens_(options.n_tokens),
      opened_(opened),
      // The context that is chosen for the cache later depends on all lines.
      context_(std::min(options.context.value_or(opened.config.n_context), opened.config.n_context)) {}

Result<protocols::OpenAiRequest> BatchParser::parse(const BatchLine& line) const {
    RAFTER_TRY(const nlohmann::json value, parse_json(line.text, "line"));
    return parse(line, value);
}

Result<protocols::OpenAiRequest> BatchParser::parse(const BatchLine& line, const nlohmann::json& value) const {
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
    const protocols::OpenAiDefaults defaults{.max_tokens = n_tokens_, .seed = seed_of(line.custom_id)};
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

void BatchSurvey::add(const BatchLine& line, const nlohmann::json& value) {
    Surveyed& surveyed = surveyed_.emplace_back();
    auto request = parser_.parse(line, value);
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
    const std::size_t n_bytes = size_bytes(*request);
    if (n_kept_bytes_ + n_bytes > kMaxKeptBytes) return;
    n_kept_bytes_ += n_bytes;
    surveyed.request = *std::move(request);
}

void BatchSurvey::finish(const BatchRequests& requests, const BatchResults& results) {
    for (std::size_t i = 0; i < surveyed_.size(); ++i) {
        Surveyed& surveyed = surveyed_[i];
        const BatchLine* line = &requests.lines()[i];
        if (results.has(line->custom_id)) continue;
        if (surveyed.error) {
            refused.push_back({line, *std::move(surveyed.error)});
            continue;
        }
        to_do.push_back({line, std::move(surveyed.request)});
        unknown_keys.insert(surveyed.unknown_keys.begin(), surveyed.unknown_keys.end());
        warnings.insert(surveyed.warnings.begin(), surveyed.warnings.end());
        has_chats |= surveyed.is_chat;
    }
    surveyed_.clear();
}

}  // namespace rafter::apps
