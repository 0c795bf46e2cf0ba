// Chunks are put together as text: a stream sends one for each token, and only what a token brings is turned into JSON.
#include "protocols/openai_stream.h"

#include <iterator>
#include <utility>

#include "protocols/openai_tools.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kNull = "null";

std::string dump(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

void append(engine::StreamUpdate& to, engine::StreamUpdate&& from) {
    std::move(from.tokens.begin(), from.tokens.end(), std::back_inserter(to.tokens));
    to.text += from.text;
    if (from.finish) to.finish = std::move(from.finish);
}

}  // namespace

OpenAiStream::OpenAiStream(const OpenAiRequest& request, OpenAiIdentity identity, const text::Tokenizer& tokenizer)
    : endpoint_(request.endpoint),
      n_(request.n),
      n_prompt_tokens_(request.n_prompt_tokens),
      n_logprobs_(request.n_logprobs),
      with_usage_(request.stream_usage),
      echoes_(request.echoes),
      scores_(request.echoes.size()),
      tokenizer_(tokenizer),
      id_(identity.id),
      choices_(request.choices.size(),
               Choice{.shown = ShownTokens(tokenizer, request.ignore_eos,
                                           request.rules ? request.rules->shown_tokens : std::vector<engine::TokenId>()),
                      .reader = AnswerReader(request.rules, tokenizer, CallDelivery::kAsItComes),
                      .held = {},
                      .finish = {}}),
      n_open_(request.choices.size()) {
    const bool is_chat = endpoint_ == OpenAiEndpoint::kChatCompletions;
    head_ = dump({{"id", (is_chat ? "chatcmpl-" : "cmpl-") + identity.id},
                  {"object", is_chat ? "chat.completion.chunk" : "text_completion"},
                  {"created", identity.created_unix_s},
                  {"model", std::move(identity.model)}});
    head_.back() = ',';  // the object goes on
    head_ += "\"choices\":";
}

// Without the end of the object.
std::string OpenAiStream::chunk(std::size_t index, std::string_view delta, std::string_view logprobs, std::string_view finish) const {
    const char* key = endpoint_ == OpenAiEndpoint::kChatCompletions ? "delta" : "text";
    return fmt::format(R"({}[{{"index":{},"{}":{},"logprobs":{},"finish_reason":{}}}])", head_, index, key, delta, logprobs, finish) +
           (with_usage_ ? R"(,"usage":null)" : "");
}

bool OpenAiStream::has_scores(std::size_t prompt) const {
    if (echoes_.empty() || echoes_[prompt].tokens.empty()) return true;
    const Choice& first = choices_[prompt * n_];
    return scores_[prompt].size() + 1 >= echoes_[prompt].tokens.size() || first.ended || first.held.finish.has_value();
}

// The role, or the echo.
void OpenAiStream::begin(std::size_t index, std::vector<std::string>& events) {
    choices_[index].begun = true;
    if (endpoint_ == OpenAiEndpoint::kChatCompletions) {
        events.push_back(chunk(index, R"({"role":"assistant","content":"","refusal":null})", kNull, kNull) + "}");
        return;
    }
    if (echoes_.empty()) return;
    const OpenAiEcho& echo = echoes_[index / n_];
    std::string logprobs(kNull);
    if (!echo.tokens.empty()) {
        CompletionLogprobs list(n_logprobs_.value_or(0), tokenizer_);
        list.add_echo(echo, scores_[index / n_]);
        logprobs = dump(list.take());
    }
    events.push_back(chunk(index, dump(echo.text), logprobs, kNull) + "}");
}

std::vector<std::string> OpenAiStream::deltas(std::size_t index) {
    std::vector<std::string> deltas;
    for (const AnswerEvent& event : choices_[index].reader.take(choices_[index].held)) {
        switch (event.kind) {
            case AnswerEvent::Kind::kContent:
                deltas.push_back(fmt::format(R"({{"content":{}}})", dump(event.text)));
                break;
            case AnswerEvent::Kind::kReasoning:
                deltas.push_back(fmt::format(R"({{"reasoning_content":{}}})", dump(event.text)));
                break;
            case AnswerEvent::Kind::kCallBegin:
                deltas.push_back(
                    fmt::format(R"({{"tool_calls":[{{"index":{},"id":"{}","type":"function","function":{{"name":{},"arguments":""}}}}]}})",
                                event.call, call_id(id_, index, event.call), dump(event.text)));
                break;
            case AnswerEvent::Kind::kArguments:
                deltas.push_back(
                    fmt::format(R"({{"tool_calls":[{{"index":{},"function":{{"arguments":{}}}}}]}})", event.call, dump(event.text)));
                break;
            case AnswerEvent::Kind::kCallEnd:
                break;
        }
    }
    return deltas;
}

void OpenAiStream::flush(std::size_t index, std::vector<std::string>& events) {
    Choice& choice = choices_[index];
    if (choice.held.empty()) return;
    if (!choice.begun) begin(index, events);
    const bool is_chat = endpoint_ == OpenAiEndpoint::kChatCompletions;
    std::vector<std::string> texts;
    if (is_chat) texts = deltas(index);
    std::string logprobs(kNull);
    if (n_logprobs_) {
        if (const std::vector<ShownToken> shown = choice.shown.take(choice.held); !shown.empty() && is_chat) {
            logprobs = dump(chat_logprobs(shown, *n_logprobs_, tokenizer_));
        } else if (!shown.empty()) {
            CompletionLogprobs list(n_logprobs_.value_or(0), tokenizer_);
            list.add(shown, echoes_.empty() ? 0 : n_characters(echoes_[index / n_].text));
            logprobs = dump(list.take());
        }
    }
    if (!is_chat && !choice.held.text.empty()) texts.push_back(dump(choice.held.text));
    if (texts.empty() && logprobs != kNull) texts.emplace_back(is_chat ? R"({"content":""})" : R"("")");
    for (const std::string& text : texts) events.push_back(chunk(index, text, std::exchange(logprobs, std::string(kNull)), kNull) + "}");
    if (choice.held.finish) {
        choice.finish = *std::move(choice.held.finish);
        choice.ended = true;
        --n_open_;
        std::string finish =
            chunk(index, is_chat ? "{}" : R"("")", kNull, fmt::format("\"{}\"", choice.reader.finish_reason(choice.finish.reason)));
        if (n_open_ == 0) {
            last_ = std::move(finish);
        } else {
            events.push_back(finish + "}");
        }
    }
    choice.held.clear();
}

std::vector<std::string> OpenAiStream::update(std::size_t index, engine::StreamUpdate&& update) {
    std::vector<std::string> events;
    Choice& choice = choices_.at(index);
    if (failed_ || choice.ended) return events;
    if (update.finish && update.finish->reason == engine::FinishReason::kError) {
        return fail(500, update.finish->error ? update.finish->error->message : "the answer ended with an error");
    }
    const std::size_t prompt = index / n_;
    const bool brings_scores = !echoes_.empty() && index % n_ == 0;
    const bool had_scores = has_scores(prompt);
    if (brings_scores) std::move(update.prompt_scores.begin(), update.prompt_scores.end(), std::back_inserter(scores_[prompt]));
    append(choice.held, std::move(update));
    if (!has_scores(prompt)) return events;
    if (had_scores) {
        flush(index, events);
    } else {
        for (std::size_t i = 0; i < n_; ++i) flush(prompt * n_ + i, events);
    }
    return events;
}

std::vector<std::string> OpenAiStream::end(const AnswerTimings* timings) {
    std::vector<std::string> events;
    if (!complete() || last_.empty()) return events;
    const std::string ending = timings == nullptr ? "}" : R"(,"timings":)" + dump(timings_json(*timings)) + "}";
    events.push_back(std::exchange(last_, {}) + (with_usage_ ? "}" : ending));
    if (with_usage_) events.push_back(head_ + R"([],"usage":)" + dump(openai_usage_json(usage())) + ending);
    events.emplace_back("[DONE]");
    return events;
}

std::vector<std::string> OpenAiStream::fail(int status, const std::string& message) {
    if (std::exchange(failed_, true)) return {};
    return {dump(openai_error(status, message))};
}

OpenAiUsage OpenAiStream::usage() const {
    std::vector<engine::Finish> finishes;
    for (const Choice& choice : choices_) finishes.push_back(choice.finish);
    OpenAiUsage usage = openai_usage(n_prompt_tokens_, n_, finishes);
    for (const Choice& choice : choices_) usage.n_reasoning_tokens += choice.reader.n_reasoning_tokens();
    return usage;
}

}  // namespace rafter::protocols
