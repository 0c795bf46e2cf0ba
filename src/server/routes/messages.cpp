// /v1/messages: one sequence, whose updates become a message or typed events. /v1/messages/count_tokens is in text.cpp.
#include "protocols/anthropic_answer.h"
#include "protocols/anthropic_request.h"
#include "protocols/json_body.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"

namespace rafter::server {
namespace {

using protocols::AnthropicAnswer;

class WholeMessage : public AnswerWriter {
  public:
    WholeMessage(AnthropicAnswer answer, bool timings) : answer_(std::move(answer)), timings_(timings) {}
    void begin(Call&) override {}
    void update(Call&, std::size_t, engine::StreamUpdate&& update) override { answer_.take(std::move(update)); }
    void end(Call& call, const protocols::AnswerTimings& timings) override { call.json(answer_.answer(timings_ ? &timings : nullptr)); }
    bool fail(Call&, const Refused&) override { return false; }

  private:
    AnthropicAnswer answer_;
    bool timings_;  // are wanted
};

class MessageEvents : public AnswerWriter {
  public:
    MessageEvents(AnthropicAnswer answer, bool timings) : answer_(std::move(answer)), timings_(timings) {}
    void begin(Call& call) override {
        call.set_heartbeat("ping", R"({"type":"ping"})");
        call.begin_events();
        send(call, answer_.begin());
    }
    void update(Call& call, std::size_t, engine::StreamUpdate&& update) override { send(call, answer_.update(std::move(update))); }
    void end(Call& call, const protocols::AnswerTimings& timings) override {
        send(call, answer_.end(timings_ ? &timings : nullptr));
        call.end_events();
    }
    bool fail(Call& call, const Refused& refused) override {
        send(call, answer_.fail(refused.status, refused.message, call.id()));
        call.end_events();
        return true;
    }

  private:
    static void send(Call& call, const std::vector<protocols::NamedEvent>& events) {
        for (const protocols::NamedEvent& event : events) call.send_event(event.event, event.data);
    }

    AnthropicAnswer answer_;
    bool timings_;  // are wanted
};

}  // namespace

void answer_message(Services& services, std::shared_ptr<Call> call) {
    generate(services, std::move(call), [&services](const std::string& text, const std::string& id) -> Result<Job> {
        const engine::OpenedModel& opened = services.served.opened();
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(protocols::AnthropicRequest request, protocols::parse_anthropic_request(body, opened, new_defaults(services, text)));
        AnthropicAnswer answer(request, id, new_identity(services, id, request.model).model, *opened.tokenizer);
        Job job = job_of(request);
        job.sequences.push_back(std::move(request.sequence));
        if (request.stream) {
            job.writer = std::make_unique<MessageEvents>(std::move(answer), request.timings);
        } else {
            job.writer = std::make_unique<WholeMessage>(std::move(answer), request.timings);
        }
        return job;
    });
}

}  // namespace rafter::server
