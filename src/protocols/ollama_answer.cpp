// A call is told when it is complete: its arguments are an object, which half of a text is not.
#include "protocols/ollama_answer.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "protocols/openai_tools.h"
#include "text/utf8_stream.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

std::string line_text(const ordered_json& line) { return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

}  // namespace

std::string rfc3339(std::int64_t unix_microseconds) {
    constexpr std::int64_t kPerSecond = 1'000'000;
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(unix_microseconds / kPerSecond)),
                       unix_microseconds % kPerSecond);
}

OllamaAnswer::OllamaAnswer(const OllamaRequest& request, OllamaIdentity identity, const text::Tokenizer& tokenizer)
    : endpoint_(request.endpoint),
      identity_(std::move(identity)),
      tokenizer_(tokenizer),
      n_logprobs_(request.n_logprobs),
      with_context_(request.with_context),
      n_prompt_tokens_(request.n_prompt_tokens),
      shown_(tokenizer, false, request.sequence.shown_tokens),
      reader_(request.rules, tokenizer) {
    if (with_context_) context_ = request.sequence.prompt;
}

bool OllamaAnswer::Parts::empty() const { return text.reasoning.empty() && text.content.empty() && text.calls.empty() && logprobs.empty(); }

void OllamaAnswer::read(engine::StreamUpdate&& update, Parts& parts) {
    if (with_context_) {
        for (const engine::GeneratedToken& token : update.tokens) context_.push_back(token.id);
    }
    parts.n_calls_before = n_calls_;
    const std::size_t n_before = parts.text.calls.size();
    parts.text.add(reader_.take(update));
    n_calls_ += static_cast<std::uint32_t>(parts.text.calls.size() - n_before);
    if (n_logprobs_) {
        const std::vector<ShownToken> shown = shown_.take(update);
        const ordered_json content = chat_logprobs(shown, *n_logprobs_, tokenizer_)["content"];
        for (const ordered_json& one : content) parts.logprobs.push_back(one);
    }
    if (update.finish) finish_ = *std::move(update.finish);
}

ordered_json OllamaAnswer::call_json(const WrittenCall& call, std::uint32_t index) const {
    ordered_json arguments = ordered_json::parse(call.arguments, nullptr, false);
    if (!arguments.is_object()) arguments = ordered_json::object();
    return {{"id", call_id(identity_.id, 0, index)},
            {"function", {{"index", index}, {"name", call.name}, {"arguments", std::move(arguments)}}}};
}

ordered_json OllamaAnswer::line(const Parts& parts) const {
    ordered_json line{{"model", identity_.model}, {"created_at", identity_.now()}};
    if (endpoint_ == OllamaEndpoint::kChat) {
        ordered_json message{{"role", "assistant"}, {"content", parts.text.content}};
        if (!parts.text.reasoning.empty()) message["thinking"] = parts.text.reasoning;
        for (std::uint32_t i = 0; i < parts.text.calls.size(); ++i) {
            message["tool_calls"].push_back(call_json(parts.text.calls[i], parts.n_calls_before + i));
        }
        line["message"] = std::move(message);
    } else {
        line["response"] = parts.text.content;
        if (!parts.text.reasoning.empty()) line["thinking"] = parts.text.reasoning;
    }
    line["done"] = false;
    if (!parts.logprobs.empty()) line["logprobs"] = parts.logprobs;
    return line;
}

void OllamaAnswer::add_end(ordered_json& line, const AnswerTimings& timings) const {
    line["done"] = true;
    line["done_reason"] = engine::to_string(finish_.reason);
    if (with_context_) line["context"] = context_;
    const double first = timings.first_token_seconds.value_or(timings.queue_seconds + timings.prefill_seconds);
    line["total_duration"] = nanoseconds(first + timings.decode_seconds);
    line["load_duration"] = 0;
    line["prompt_eval_count"] = n_prompt_tokens_;
    line["prompt_eval_duration"] = nanoseconds(timings.prefill_seconds);
    line["eval_count"] = timings.n_generated_tokens;
    line["eval_duration"] = nanoseconds(timings.decode_seconds);
}

std::vector<std::string> OllamaAnswer::update(engine::StreamUpdate&& update) {
    if (failed_) return {};
    if (update.finish && update.finish->reason == engine::FinishReason::kError) {
        return fail(update.finish->error ? update.finish->error->message : "the answer ended with an error");
    }
    Parts parts;
    read(std::move(update), parts);
    if (parts.empty()) return {};
    return {line_text(line(parts))};
}

std::vector<std::string> OllamaAnswer::end(const AnswerTimings& timings) {
    if (failed_) return {};
    ordered_json last = line({});
    add_end(last, timings);
    return {line_text(last)};
}

std::vector<std::string> OllamaAnswer::fail(std::string_view message) {
    if (std::exchange(failed_, true)) return {};
    return {line_text(ollama_error(message))};
}

void OllamaAnswer::take(engine::StreamUpdate&& update) {
    read(std::move(update), whole_);
    whole_.n_calls_before = 0;
}

ordered_json OllamaAnswer::answer(const AnswerTimings& timings) const {
    ordered_json whole = line(whole_);
    add_end(whole, timings);
    return whole;
}

ordered_json ollama_loaded(const OllamaRequest& request, const OllamaIdentity& identity) {
    ordered_json answer{{"model", identity.model}, {"created_at", identity.now()}};
    if (request.endpoint == OllamaEndpoint::kChat) {
        answer["message"] = {{"role", "assistant"}, {"content", ""}};
    } else {
        answer["response"] = "";
    }
    answer["done"] = true;
    answer["done_reason"] = request.purpose == OllamaPurpose::kUnload ? "unload" : "load";
    return answer;
}

ordered_json ollama_error(std::string_view message) { return {{"error", text::valid_utf8(message)}}; }

}  // namespace rafter::protocols
