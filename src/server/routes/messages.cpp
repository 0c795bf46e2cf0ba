// /v1/messages: one sequence, whose updates become a message or typed events. /v1/messages/count_tokens is in text.cpp.
#include "protocols/anthropic_answer.h"
#include "protocols/anthropic_request.h"
#include "protocols/json_body.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"
#include "server/routes/single_answer.h"

namespace rafter::server {
namespace {

using protocols::AnthropicAnswer;

class MessageEvents : public SingleAnswerEvents<AnthropicAnswer> {
  public:
    using SingleAnswerEvents::SingleAnswerEvents;
    void begin(Call& call) override {
        call.set_heartbeat_of_form();
        SingleAnswerEvents::begin(call);
    }

  protected:
    std::vector<protocols::NamedEvent> failure(AnthropicAnswer& answer, Call& call, const Refused& refused) override {
        return answer.fail(refused.status, refused.message, call.id());
    }
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
            job.writer = std::make_unique<SingleAnswer<AnthropicAnswer>>(std::move(answer), request.timings);
        }
        return job;
    });
}

}  // namespace rafter::server
