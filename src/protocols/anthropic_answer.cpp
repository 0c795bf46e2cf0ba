// A block begins with its first text and ends where another begins: an answer without text has no blocks.
#include "protocols/anthropic_answer.h"

#include <algorithm>
#include <utility>

#include "protocols/anthropic_error.h"
#include "protocols/function_tools.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;
using Kind = AnswerEvent::Kind;

NamedEvent message_event(const char* type, const ordered_json& fields) {
    ordered_json data{{"type", type}};
    for (const auto& [key, value] : fields.items()) data[key] = value;
    return {type, data.dump(-1, ' ', false, ordered_json::error_handler_t::replace)};
}

// What a call of a function was given. The parser lets only objects through.
ordered_json parsed_input(const std::string& arguments) {
    ordered_json input = ordered_json::parse(arguments, nullptr, false);
    return input.is_object() ? input : ordered_json::object();
}

}  // namespace

AnthropicAnswer::AnthropicAnswer(const AnthropicRequest& request, std::string id, std::string model, const text::Tokenizer& tokenizer)
    : id_(std::move(id)),
      model_(std::move(model)),
      n_prompt_tokens_(request.n_prompt_tokens),
      stop_sequences_(request.stop_sequences),
      reader_(request.rules, tokenizer, request.stream ? CallDelivery::kAsItComes : CallDelivery::kWhole) {}

ordered_json AnthropicAnswer::message() const {
    return {
        {"id", "msg_" + id_},     {"type", "message"},        {"role", "assistant"}, {"model", model_}, {"content", ordered_json::array()},
        {"stop_reason", nullptr}, {"stop_sequence", nullptr}, {"usage", usage()}};
}

// Nothing is paid for being kept: what the cache did not have is input, and creates no cache.
ordered_json AnthropicAnswer::usage() const {
    const std::uint64_t n_reused = std::min<std::uint64_t>(finish_.times.n_reused, n_prompt_tokens_);
    return {{"input_tokens", n_prompt_tokens_ - n_reused},
            {"cache_creation_input_tokens", 0},
            {"cache_read_input_tokens", n_reused},
            {"output_tokens", finish_.times.n_generated}};
}

ordered_json AnthropicAnswer::stop_sequence() const {
    if (!finish_.stop || *finish_.stop >= stop_sequences_.size()) return nullptr;
    return stop_sequences_[*finish_.stop];
}

std::string AnthropicAnswer::stop_reason() const {
    switch (finish_.reason) {
        case engine::FinishReason::kStop:
            if (finish_.stop) return "stop_sequence";
            return reader_.has_calls() ? "tool_use" : "end_turn";
        case engine::FinishReason::kLength:
            return finish_.context_full ? "model_context_window_exceeded" : "max_tokens";
        case engine::FinishReason::kCancelled:
        case engine::FinishReason::kTimeout:
        case engine::FinishReason::kError:
            break;
    }
    return engine::to_string(finish_.reason);
}

void AnthropicAnswer::begin_block(Block block, Events& events) {
    end_block(events);
    ordered_json begun;
    switch (block.kind) {
        case Kind::kReasoning:
            begun = {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
            break;
        case Kind::kCallBegin:
            begun = {{"type", "tool_use"}, {"id", block.id}, {"name", block.name}, {"input", ordered_json::object()}};
            break;
        default:
            begun = {{"type", "text"}, {"text", ""}};
            break;
    }
    events.push_back(message_event("content_block_start", {{"index", blocks_.size()}, {"content_block", std::move(begun)}}));
    blocks_.push_back(std::move(block));
    block_open_ = true;
}

void AnthropicAnswer::end_block(Events& events) {
    if (!std::exchange(block_open_, false)) return;
    const std::size_t index = blocks_.size() - 1;
    if (blocks_.back().kind == Kind::kReasoning) {
        const ordered_json delta{{"type", "signature_delta"}, {"signature", ""}};
        events.push_back(message_event("content_block_delta", {{"index", index}, {"delta", delta}}));
    }
    events.push_back(message_event("content_block_stop", {{"index", index}}));
}

void AnthropicAnswer::add_delta(const std::string& text, Events& events) {
    Block& block = blocks_.back();
    block.text += text;
    ordered_json delta{{"type", "text_delta"}, {"text", text}};
    if (block.kind == Kind::kReasoning) delta = {{"type", "thinking_delta"}, {"thinking", text}};
    if (block.kind == Kind::kCallBegin) delta = {{"type", "input_json_delta"}, {"partial_json", text}};
    events.push_back(message_event("content_block_delta", {{"index", blocks_.size() - 1}, {"delta", std::move(delta)}}));
}

void AnthropicAnswer::read(engine::StreamUpdate&& update, Events& events) {
    for (const AnswerEvent& event : reader_.take(update)) {
        switch (event.kind) {
            case Kind::kReasoning:
            case Kind::kContent:
                if (event.text.empty()) break;
                if (!block_open_ || blocks_.back().kind != event.kind) begin_block({.kind = event.kind}, events);
                add_delta(event.text, events);
                break;
            case Kind::kCallBegin:
                begin_block({.kind = Kind::kCallBegin, .name = event.text, .id = "toolu_" + call_id(id_, 0, event.call)}, events);
                break;
            case Kind::kArguments:
                add_delta(event.text, events);
                break;
            case Kind::kCallEnd:
                end_block(events);
                break;
        }
    }
    if (update.finish) finish_ = *std::move(update.finish);
}

std::vector<NamedEvent> AnthropicAnswer::begin() const { return {message_event("message_start", {{"message", message()}})}; }

std::vector<NamedEvent> AnthropicAnswer::update(engine::StreamUpdate&& update) {
    Events events;
    if (!failed_) read(std::move(update), events);
    return events;
}

std::vector<NamedEvent> AnthropicAnswer::end(const AnswerTimings* timings) {
    Events events;
    if (failed_) return events;
    end_block(events);
    ordered_json last{{"delta", {{"stop_reason", stop_reason()}, {"stop_sequence", stop_sequence()}}}, {"usage", usage()}};
    if (timings != nullptr) last["timings"] = timings_json(*timings);
    events.push_back(message_event("message_delta", last));
    events.push_back(message_event("message_stop", ordered_json::object()));
    return events;
}

std::vector<NamedEvent> AnthropicAnswer::fail(int status, const std::string& message, std::string_view request_id) {
    if (std::exchange(failed_, true)) return {};
    const ordered_json error = anthropic_error(status, message, request_id);
    return {{"error", error.dump(-1, ' ', false, ordered_json::error_handler_t::replace)}};
}

void AnthropicAnswer::take(engine::StreamUpdate&& update) {
    Events unused;
    read(std::move(update), unused);
}

ordered_json AnthropicAnswer::answer(const AnswerTimings* timings) const {
    ordered_json whole = message();
    for (const Block& block : blocks_) {
        switch (block.kind) {
            case Kind::kReasoning:
                whole["content"].push_back({{"type", "thinking"}, {"thinking", block.text}, {"signature", ""}});
                break;
            case Kind::kCallBegin:
                whole["content"].push_back(
                    {{"type", "tool_use"}, {"id", block.id}, {"name", block.name}, {"input", parsed_input(block.text)}});
                break;
            default:
                whole["content"].push_back({{"type", "text"}, {"text", block.text}});
                break;
        }
    }
    whole["stop_reason"] = stop_reason();
    whole["stop_sequence"] = stop_sequence();
    if (timings != nullptr) whole["timings"] = timings_json(*timings);
    return whole;
}

}  // namespace rafter::protocols
