// The output is a list of items: thoughts, texts and calls, as they come. Each item but a call has one part: its content_index is 0.
#include "protocols/responses_answer.h"

#include <utility>

#include "protocols/openai_tools.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

std::string dumped(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
    return value ? ordered_json(*value) : ordered_json();
}

ordered_json usage_of(const ResponsesRequest& request, const engine::Finish& finish, std::uint64_t n_reasoning_tokens) {
    const OpenAiUsage usage = openai_usage(request.n_prompt_tokens, 1, {&finish, 1});
    return {{"input_tokens", usage.n_prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", usage.n_cached_tokens.value_or(0)}, {"cache_write_tokens", 0}}},
            {"output_tokens", usage.n_generated_tokens},
            {"output_tokens_details", {{"reasoning_tokens", n_reasoning_tokens}}},
            {"total_tokens", usage.n_prompt_tokens + usage.n_generated_tokens}};
}

}  // namespace

ResponsesAnswer::ResponsesAnswer(const ResponsesRequest& request, OpenAiIdentity identity, const text::Tokenizer& tokenizer)
    : request_(request),
      identity_(std::move(identity)),
      tokenizer_(tokenizer),
      shown_(tokenizer, request.ignore_eos, request.sequence.shown_tokens),
      reader_(request.rules, tokenizer, request.stream ? CallDelivery::kAsItComes : CallDelivery::kWhole) {
    request_.sequence.prompt = {};
}

std::string ResponsesAnswer::item_id(std::size_t index) const {
    const Item::Kind kind = items_[index].kind;
    const char* begin = kind == Item::Kind::kMessage ? "msg_" : kind == Item::Kind::kReasoning ? "rs_" : "fc_";
    return begin + identity_.id + (index == 0 ? "" : fmt::format("_{}", index));
}

ordered_json ResponsesAnswer::part_of(const Item& item) const {
    if (item.kind == Item::Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", item.text}};
    return {{"type", "output_text"}, {"text", item.text}, {"annotations", ordered_json::array()}, {"logprobs", logprobs_}};
}

ordered_json ResponsesAnswer::item_json(std::size_t index, const char* status, bool with_content) const {
    const Item& item = items_[index];
    const ordered_json content = with_content ? ordered_json::array({part_of(item)}) : ordered_json::array();
    switch (item.kind) {
        case Item::Kind::kReasoning:
            return {{"id", item_id(index)}, {"type", "reasoning"},          {"summary", ordered_json::array()},
                    {"content", content},   {"encrypted_content", nullptr}, {"status", status}};
        case Item::Kind::kCall: {
            std::uint32_t n_before = 0;
            for (std::size_t i = 0; i < index; ++i) n_before += items_[i].kind == Item::Kind::kCall ? 1 : 0;
            return {{"id", item_id(index)}, {"type", "function_call"},
                    {"status", status},     {"call_id", call_id(identity_.id, 0, n_before)},
                    {"name", item.name},    {"arguments", with_content ? item.text : ""}};
        }
        case Item::Kind::kMessage:
            break;
    }
    return {{"id", item_id(index)}, {"type", "message"}, {"status", status}, {"role", "assistant"}, {"content", content}};
}

ordered_json ResponsesAnswer::place() const {
    ordered_json at{{"item_id", item_id(items_.size() - 1)}, {"output_index", items_.size() - 1}};
    if (items_.back().kind != Item::Kind::kCall) at["content_index"] = 0;
    return at;
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
            {"parallel_tool_calls", request_.parallel_tool_calls},
            {"previous_response_id", nullptr},
            {"reasoning", {{"effort", or_null(request_.reasoning_effort)}, {"summary", nullptr}}},
            {"service_tier", "default"},
            {"store", false},
            {"temperature", request_.sequence.sampling.temperature},
            {"text", {{"format", request_.text_format}}},
            {"tool_choice", request_.tool_choice},
            {"tools", request_.tools},
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
    for (std::size_t i = 0; i < items_.size(); ++i) {
        whole["output"].push_back(item_json(i, i + 1 == items_.size() ? status : "completed", true));
    }
    whole["usage"] = usage_of(request_, finish_, reader_.n_reasoning_tokens());
    if (finish_.reason == engine::FinishReason::kLength) whole["incomplete_details"] = {{"reason", "max_output_tokens"}};
    if (timings != nullptr) whole["timings"] = timings_json(*timings);
    return whole;
}

AnswerEvents ResponsesAnswer::read(engine::StreamUpdate& update) {
    AnswerEvents parts = reader_.take(update);
    if (request_.n_logprobs) {
        const std::vector<ShownToken> shown = shown_.take(update);
        const ordered_json content = chat_logprobs(shown, *request_.n_logprobs, tokenizer_)["content"];
        for (const ordered_json& one : content) {
            last_logprobs_.push_back(one);
            logprobs_.push_back(one);
        }
    }
    if (update.finish) {
        finish_ = *std::move(update.finish);
        finished_ = true;
    }
    return parts;
}

bool ResponsesAnswer::take(engine::StreamUpdate&& update) {
    Events unused;
    add(read(update), unused);
    if (finished_ && items_.empty()) begin_item({}, unused);
    return finished_;
}

void ResponsesAnswer::begin_item(Item item, Events& events) {
    if (item_open_) end_item("completed", events);
    const bool is_call = item.kind == Item::Kind::kCall;
    items_.push_back(std::move(item));
    item_open_ = true;
    events.push_back(event("response.output_item.added",
                           {{"output_index", items_.size() - 1}, {"item", item_json(items_.size() - 1, "in_progress", false)}}));
    if (is_call) return;
    ordered_json added = place();
    added["part"] = part_of(items_.back());
    if (added["part"].contains("logprobs")) added["part"]["logprobs"] = ordered_json::array();
    events.push_back(event("response.content_part.added", std::move(added)));
}

void ResponsesAnswer::end_item(const char* status, Events& events) {
    item_open_ = false;
    const Item& item = items_.back();
    ordered_json done = place();
    if (item.kind == Item::Kind::kCall) {
        done["name"] = item.name;
        done["arguments"] = item.text;
        events.push_back(event("response.function_call_arguments.done", std::move(done)));
    } else {
        const bool is_thought = item.kind == Item::Kind::kReasoning;
        done["text"] = item.text;
        if (!is_thought) done["logprobs"] = logprobs_;
        events.push_back(event(is_thought ? "response.reasoning_text.done" : "response.output_text.done", std::move(done)));
        ordered_json part_done = place();
        part_done["part"] = part_of(item);
        events.push_back(event("response.content_part.done", std::move(part_done)));
    }
    events.push_back(
        event("response.output_item.done", {{"output_index", items_.size() - 1}, {"item", item_json(items_.size() - 1, status, true)}}));
}

void ResponsesAnswer::add_delta(const std::string& text, Events& events) {
    Item& item = items_.back();
    item.text += text;
    ordered_json delta = place();
    delta["delta"] = text;
    const char* type = "response.function_call_arguments.delta";
    if (item.kind == Item::Kind::kReasoning) type = "response.reasoning_text.delta";
    if (item.kind == Item::Kind::kMessage) {
        type = "response.output_text.delta";
        delta["logprobs"] = std::exchange(last_logprobs_, ordered_json::array());
    }
    events.push_back(event(type, std::move(delta)));
}

void ResponsesAnswer::add(const AnswerEvents& parts, Events& events) {
    const auto is_open = [this](Item::Kind kind) { return item_open_ && items_.back().kind == kind; };
    for (const AnswerEvent& part : parts) {
        switch (part.kind) {
            case AnswerEvent::Kind::kReasoning:
                if (!is_open(Item::Kind::kReasoning)) begin_item({.kind = Item::Kind::kReasoning}, events);
                add_delta(part.text, events);
                break;
            case AnswerEvent::Kind::kContent:
                if (!is_open(Item::Kind::kMessage)) begin_item({.kind = Item::Kind::kMessage}, events);
                add_delta(part.text, events);
                break;
            case AnswerEvent::Kind::kCallBegin:
                begin_item({.kind = Item::Kind::kCall, .name = part.text}, events);
                break;
            case AnswerEvent::Kind::kArguments:
                add_delta(part.text, events);
                break;
            case AnswerEvent::Kind::kCallEnd:
                end_item("completed", events);
                break;
        }
    }
}

NamedEvent ResponsesAnswer::event(const char* type, ordered_json fields) {
    ordered_json data{{"type", type}, {"sequence_number", n_events_++}};
    for (auto& [key, value] : fields.items()) data[key] = std::move(value);
    return {type, dumped(data)};
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
    if (request_.rules == nullptr && items_.empty()) begin_item({}, events);
    add(read(update), events);
    // Tokens without a text of their own yet.
    if (!last_logprobs_.empty() && item_open_ && items_.back().kind == Item::Kind::kMessage) add_delta("", events);
    return events;
}

std::vector<NamedEvent> ResponsesAnswer::end(const AnswerTimings* timings) {
    std::vector<NamedEvent> events;
    if (failed_) return events;
    if (items_.empty()) begin_item({}, events);
    if (item_open_) end_item(end_status(), events);
    const bool completed = finish_.reason == engine::FinishReason::kStop;
    events.push_back(event(completed ? "response.completed" : "response.incomplete", {{"response", answer(timings)}}));
    events.push_back({"", "[DONE]"});
    return events;
}

std::vector<NamedEvent> ResponsesAnswer::fail(const std::string& message_text) {
    if (std::exchange(failed_, true)) return {};
    ordered_json whole = response("failed");
    for (std::size_t i = 0; i < items_.size(); ++i) {
        whole["output"].push_back(item_json(i, i + 1 == items_.size() ? "incomplete" : "completed", true));
    }
    whole["error"] = {{"code", "server_error"}, {"message", message_text}};
    std::vector<NamedEvent> events;
    events.push_back(event("response.failed", {{"response", std::move(whole)}}));
    return events;
}

}  // namespace rafter::protocols
