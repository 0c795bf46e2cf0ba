// Chat and text completions: OpenAI's request becomes sequences, and their updates OpenAI's answer or its events.
#include "protocols/json_body.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_request.h"
#include "protocols/openai_stream.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"

namespace rafter::server {
namespace {

using protocols::OpenAiChoice;
using protocols::OpenAiEndpoint;
using protocols::OpenAiIdentity;
using protocols::OpenAiRequest;

class WholeAnswer : public AnswerWriter {
  public:
    // request: its choices are not looked at.
    WholeAnswer(OpenAiRequest request, std::size_t n_choices, OpenAiIdentity identity, const text::Tokenizer& tokenizer)
        : request_(std::move(request)), identity_(std::move(identity)), tokenizer_(tokenizer), choices_(n_choices) {}

    void begin(Call&) override {}
    void update(Call&, std::size_t index, engine::StreamUpdate&& update) override { choices_[index].take(std::move(update)); }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        nlohmann::ordered_json answer = protocols::openai_answer(request_, choices_, identity_, tokenizer_);
        if (request_.timings) answer["timings"] = protocols::timings_json(timings);
        call.json(answer);
    }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    OpenAiRequest request_;
    OpenAiIdentity identity_;
    const text::Tokenizer& tokenizer_;
    std::vector<OpenAiChoice> choices_;
};

class EventAnswer : public AnswerWriter {
  public:
    EventAnswer(const OpenAiRequest& request, OpenAiIdentity identity, const text::Tokenizer& tokenizer)
        : stream_(request, std::move(identity), tokenizer), timings_(request.timings) {}

    void begin(Call& call) override { call.begin_events(); }
    void update(Call& call, std::size_t index, engine::StreamUpdate&& update) override {
        send(call, stream_.update(index, std::move(update)));
    }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        send(call, stream_.end(timings_ ? &timings : nullptr));
        call.end_events();
    }
    bool fail(Call& call, const Refused& refused) override {
        send(call, stream_.fail(refused.status, refused.message));
        call.end_events();
        return true;
    }

  private:
    static void send(Call& call, const std::vector<std::string>& events) {
        for (const std::string& event : events) call.send_event("", event);
    }

    protocols::OpenAiStream stream_;
    bool timings_;  // are wanted
};

// A completion that does not say how long has 16 tokens, as with OpenAI.
constexpr std::uint32_t kCompletionTokens = 16;

void answer_openai(Services& services, std::shared_ptr<Call> call, OpenAiEndpoint endpoint) {
    generate(services, std::move(call), [&services, endpoint](const std::string& text, const std::string& id) -> Result<Job> {
        const engine::OpenedModel& opened = services.served.opened();
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        protocols::OpenAiDefaults defaults = new_defaults(services, text);
        if (endpoint == OpenAiEndpoint::kCompletions) defaults.max_tokens = kCompletionTokens;
        RAFTER_TRY(OpenAiRequest request, protocols::parse_openai_request(endpoint, body, opened, defaults));
        OpenAiIdentity identity = new_identity(services, id, request.model);
        Job job = job_of(request);
        if (request.stream) {
            job.writer = std::make_unique<EventAnswer>(request, std::move(identity), *opened.tokenizer);
            job.sequences = std::move(request.choices);
        } else {
            job.sequences = std::exchange(request.choices, {});
            job.writer = std::make_unique<WholeAnswer>(std::move(request), job.sequences.size(), std::move(identity), *opened.tokenizer);
        }
        return job;
    });
}

}  // namespace

void answer_chat(Services& services, std::shared_ptr<Call> call) {
    answer_openai(services, std::move(call), OpenAiEndpoint::kChatCompletions);
}
void answer_completion(Services& services, std::shared_ptr<Call> call) {
    answer_openai(services, std::move(call), OpenAiEndpoint::kCompletions);
}

}  // namespace rafter::server
