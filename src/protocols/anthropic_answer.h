// Answers of /v1/messages: the message object, and the events of its stream.
// https://docs.anthropic.com/en/api/messages and .../messages-streaming
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/answer_timings.h"
#include "protocols/answers/answer_reader.h"
#include "protocols/anthropic_request.h"
#include "protocols/named_event.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

// One answer as it grows: blocks of thoughts, texts and calls, as they come. One thread. answer() and the stream's events are of the same
// blocks: whoever joins all deltas has them. A thought's signature is empty: the thought itself is all that a later request needs.
class AnthropicAnswer {
  public:
    // What is needed of request is copied. id: without "msg_" before it. tokenizer outlives this.
    AnthropicAnswer(const AnthropicRequest& request, std::string id, std::string model, const text::Tokenizer& tokenizer);

    // A stream: message_start, whose usage has the whole prompt as input_tokens, because what the prefix cache has is not known yet; then
    // what each update adds; then the end.
    [[nodiscard]] std::vector<NamedEvent> begin() const;
    [[nodiscard]] std::vector<NamedEvent> update(engine::StreamUpdate&& update);
    // After the update with the finish: the last block's end, message_delta with the reason and all usage, message_stop.
    [[nodiscard]] std::vector<NamedEvent> end(const AnswerTimings* timings = nullptr);
    // "error", once; nothing comes after it. status: HTTP's, which gives the error its type.
    [[nodiscard]] std::vector<NamedEvent> fail(int status, const std::string& message, std::string_view request_id);

    // An answer that is sent whole: take() each update, then answer().
    void take(engine::StreamUpdate&& update);
    [[nodiscard]] nlohmann::ordered_json answer(const AnswerTimings* timings = nullptr) const;

  private:
    struct Block {
        AnswerEvent::Kind kind = AnswerEvent::Kind::kContent;  // kContent, kReasoning, or kCallBegin for a call
        std::string text = {};                                 // of a call: its arguments
        std::string name = {};                                 // of a call
        std::string id = {};                                   // of a call
    };
    using Events = std::vector<NamedEvent>;
    void read(engine::StreamUpdate&& update, Events& events);
    void begin_block(Block block, Events& events);
    void end_block(Events& events);
    void add_delta(const std::string& text, Events& events);
    [[nodiscard]] nlohmann::ordered_json message() const;
    [[nodiscard]] nlohmann::ordered_json usage() const;
    [[nodiscard]] nlohmann::ordered_json stop_sequence() const;
    [[nodiscard]] std::string stop_reason() const;

    std::string id_;
    std::string model_;
    std::uint64_t n_prompt_tokens_;
    std::vector<std::string> stop_sequences_;
    AnswerReader reader_;
    std::vector<Block> blocks_;
    bool block_open_ = false;  // the last one
    engine::Finish finish_;
    bool failed_ = false;
};

}  // namespace rafter::protocols
