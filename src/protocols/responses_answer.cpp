// The answer is one item, a message with one part, a text: indices are 0 throughout.
#include "protocols/responses_answer.h"

#include <utility>

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
    return value ? ordered_json(*value) : ordered_json();
}

ordered_json usage_of(const ResponsesRequest& request, const engine::Finish& finish) {
    const OpenAiUsage usage = openai_usage(request.n_prompt_tokens, 1, {&finish, 1});
    return {{"input_tokens", usage.n_prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", usage.n_cached_tokens.value_or(0)}, {"cache_write_tokens", 0}}},
            {"output_tokens", usage.n_generated_tokens},
            {"output_tokens_details", {{"reasoning_tokens", 0}}},
            {"total_tokens", usage.n_prompt_tokens + usage.n_generated_tokens}};
}

}  // namespace

ResponsesAnswer::ResponsesAnswer(const ResponsesRequest& request, OpenAiIdentity identity, const text::Tokenizer& tokenizer)
    : request_(request), identity_(std::move(identity)), tokenizer_(tokenizer), shown_(tokenizer, request.ignore_eos) {
    request_.sequence.prompt = {};
}

ordered_json ResponsesAnswer::part() const {
    return {{"type", "output_text"}, {"text", text_}, {"annotations", ordered_json::array()}, {"logprobs", logprobs_}};
}

ordered_json ResponsesAnswer::message(const char* status, bool with_content) const {
    return {{"id", "msg_" + identity_.id},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", with_content ? ordered_json::array({part()}) : ordered_json::array()}};
}

// Of an answer that has its finish.
const char* ResponsesAnswer::end_status() const { return finish_.reason == engine::FinishReason::kStop ? "completed" : "incomplete"; }

ordered_json ResponsesAnswer::response(const char* status) const {
    return {{"id", "resp_" + identity_.id},
            {"object", "response"},
            {"created_at", identity_.created_unix_s},
            {"status", status},
            {"background", false},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", or_null(request_.instructions)},
            {"max_output_tokens", or_null(request_.max_output_tokens)},
            {"max_tool_calls", nullptr},
            {"model", identity_.model},
            {"output", ordered_json::array()},
            {"parallel_tool_calls", true},
            {"previous_response_id", nullptr},
            {"reasoning", {{"effort", or_null(request_.reasoning_effort)}, {"summary", nullptr}}},
            {"service_tier", "default"},
            {"store", false},
            {"temperature", request_.sequence.sampling.temperature},
            {"text", {{"format", {{"type", "text"}}}}},
            {"tool_choice", "auto"},
            {"tools", ordered_json::array()},
            {"top_logprobs", request_.top_logprobs},
            {"top_p", request_.sequence.sampling.top_p},
            {"presence_penalty", request_.sequence.sampling.presence_penalty},
            {"frequency_penalty", request_.sequence.sampling.frequency_penalty},
            {"truncation", "disabled"},
            {"usage", nullptr},
            {"user", nullptr},
            {"metadata", request_.metadata}};
}

ordered_json ResponsesAnswer::answer(const AnswerTimings* timings) const {
    const char* const status = end_status();
    ordered_json whole = response(status);
    whole["output"].push_back(message(status, true));
    whole["usage"] = usage_of(request_, finish_);
    if (finish_.reason == engine::FinishReason::kLength) whole["incomplete_details"] = {{"reason", "max_output_tokens"}};
    if (timings != nullptr) whole["timings"] = timings_json(*timings);
    return whole;
}

bool ResponsesAnswer::take(engine::StreamUpdate&& update) {
    last_logprobs_ = ordered_json::array();
    if (request_.n_logprobs) {
        const std::vector<ShownToken> shown = shown_.take(update);
        last_logprobs_ = chat_logprobs(shown, *request_.n_logprobs, tokenizer_)["content"];
        for (const ordered_json& one : last_logprobs_) logprobs_.push_back(one);
    }
    text_ += update.text;
    if (!update.finish) return false;
    finish_ = *std::move(update.finish);
    return true;
}

NamedEvent ResponsesAnswer::event(const char* type, ordered_json fields) {
    ordered_json data{{"type", type}, {"sequence_number", n_events_++}};
    for (auto& [key, value] : fields.items()) data[key] = std::move(value);
    return {type, dump(data)};
}

std::vector<NamedEvent> ResponsesAnswer::begin() {
    std::vector<NamedEvent> events;
    events.push_back(event("response.created", {{"response", response("in_progress")}}));
    events.push_back(event("response.in_progress", {{"response", response("in_progress")}}));
    return events;
}

std::vector<NamedEvent> ResponsesAnswer::update(engine::StreamUpdate&& update) {
    std::vector<NamedEvent> events;
    if (failed_) return events;
    if (update.finish && update.finish->reason == engine::FinishReason::kError) {
        return fail(update.finish->error ? update.finish->error->message : "the answer ended with an error");
    }
    const std::string item = "msg_" + identity_.id;
    if (!item_begun_) {
        item_begun_ = true;
        events.push_back(event("response.output_item.added", {{"output_index", 0}, {"item", message("in_progress", false)}}));
        events.push_back(
            event("response.content_part.added", {{"item_id", item}, {"output_index", 0}, {"content_index", 0}, {"part", part()}}));
    }
    const std::string delta = update.text;
    static_cast<void>(take(std::move(update)));
    if (delta.empty() && last_logprobs_.empty()) return events;
    events.push_back(event(
        "response.output_text.delta",
        {{"item_id", item}, {"output_index", 0}, {"content_index", 0}, {"delta", delta}, {"logprobs", std::exchange(last_logprobs_, {})}}));
    return events;
}

std::vector<NamedEvent> ResponsesAnswer::end(const AnswerTimings* timings) {
    std::vector<NamedEvent> events;
    if (failed_) return events;
    const std::string item = "msg_" + identity_.id;
    const ordered_json at{{"item_id", item}, {"output_index", 0}, {"content_index", 0}};
    ordered_json text_done = at;
    text_done["text"] = text_;
    text_done["logprobs"] = logprobs_;
    events.push_back(event("response.output_text.done", std::move(text_done)));
    ordered_json part_done = at;
    part_done["part"] = part();
    events.push_back(event("response.content_part.done", std::move(part_done)));
    const char* const status = end_status();
    events.push_back(event("response.output_item.done", {{"output_index", 0}, {"item", message(status, true)}}));
    const bool completed = finish_.reason == engine::FinishReason::kStop;
    events.push_back(event(completed ? "response.completed" : "response.incomplete", {{"response", answer(timings)}}));
    events.push_back({"", "[DONE]"});
    return events;
}

std::vector<NamedEvent> ResponsesAnswer::fail(const std::string& message_text) {
    if (std::exchange(failed_, true)) return {};
    ordered_json whole = response("failed");
    if (item_begun_) whole["output"].push_back(message("incomplete", true));
    whole["error"] = {{"code", "server_error"}, {"message", message_text}};
    std::vector<NamedEvent> events;
    events.push_back(event("response.failed", {{"response", std::move(whole)}}));
    return events;
}

}  // namespace rafter::protocols
