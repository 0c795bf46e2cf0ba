// Answers of /v1/responses: the response object, and the typed events of its stream.
// https://platform.openai.com/docs/api-reference/responses/object and .../responses-streaming
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/answers/answer_reader.h"
#include "protocols/named_event.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_logprobs.h"
#include "protocols/responses_request.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

// One answer as it grows. One thread. answer() and the stream's events are of the same parts: whoever joins all deltas has the text.
class ResponsesAnswer {
  public:
    // What is needed of request is copied. identity.id: without "resp_" before it. tokenizer outlives this.
    ResponsesAnswer(const ResponsesRequest& request, OpenAiIdentity identity, const text::Tokenizer& tokenizer);

    // A stream: response.created and response.in_progress; then what each update adds; then the end.
    [[nodiscard]] std::vector<NamedEvent> begin();
    [[nodiscard]] std::vector<NamedEvent> update(engine::StreamUpdate&& update);
    // After the update with the finish: all .done events, response.completed or response.incomplete, "[DONE]".
    [[nodiscard]] std::vector<NamedEvent> end(const AnswerTimings* timings = nullptr);
    // response.failed, once; nothing comes after it.
    [[nodiscard]] std::vector<NamedEvent> fail(const std::string& message);
    [[nodiscard]] bool failed() const { return failed_; }

    // An answer that is sent whole: take() each update, then answer(). True with the finish.
    bool take(engine::StreamUpdate&& update);
    [[nodiscard]] nlohmann::ordered_json answer(const AnswerTimings* timings = nullptr) const;

  private:
    // A part of the output.
    struct Item {
        enum class Kind { kMessage, kReasoning, kCall };
        Kind kind = Kind::kMessage;
        std::string text = {};  // of a call: its arguments
        std::string name = {};  // of a call
    };
    using Events = std::vector<NamedEvent>;
    [[nodiscard]] NamedEvent event(const char* type, nlohmann::ordered_json fields);
    [[nodiscard]] nlohmann::ordered_json response(const char* status) const;
    [[nodiscard]] std::string item_id(std::size_t index) const;
    [[nodiscard]] nlohmann::ordered_json item_json(std::size_t index, const char* status, bool with_content) const;
    [[nodiscard]] nlohmann::ordered_json part_of(const Item& item) const;
    // Where an event of the last item's part stands.
    [[nodiscard]] nlohmann::ordered_json place() const;
    [[nodiscard]] const char* end_status() const;
    void add(const AnswerEvents& parts, Events& events);
    void begin_item(Item item, Events& events);
    void end_item(const char* status, Events& events);
    void add_delta(const std::string& text, Events& events);
    // The parts that an update adds; its log-probabilities wait for the text.
    [[nodiscard]] AnswerEvents read(engine::StreamUpdate& update);

    ResponsesRequest request_;  // without its sequence's prompt
    OpenAiIdentity identity_;
    const text::Tokenizer& tokenizer_;
    ShownTokens shown_;
    AnswerReader reader_;
    std::vector<Item> items_;
    bool item_open_ = false;  // the last one
    nlohmann::ordered_json logprobs_ = nlohmann::ordered_json::array();
    nlohmann::ordered_json last_logprobs_ = nlohmann::ordered_json::array();  // that no delta had yet
    engine::Finish finish_;
    bool finished_ = false;
    std::uint64_t n_events_ = 0;
    bool failed_ = false;
};

}  // namespace rafter::protocols
