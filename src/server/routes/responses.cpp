// /v1/responses: one sequence, whose updates become a response object or typed events.
#include "protocols/json_body.h"
#include "protocols/responses_answer.h"
#include "protocols/responses_request.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"
#include "server/routes/single_answer.h"

namespace rafter::server {
namespace {

using protocols::ResponsesAnswer;

class ResponseEvents : public SingleAnswerEvents<ResponsesAnswer> {
  public:
    using SingleAnswerEvents::SingleAnswerEvents;

  protected:
    std::vector<protocols::NamedEvent> failure(ResponsesAnswer& answer, Call&, const Refused& refused) override {
        return answer.fail(refused.message);
    }
};

}  // namespace

void answer_response(Services& services, std::shared_ptr<Call> call) {
    generate(services, std::move(call), [&services](const std::string& text, const std::string& id) -> Result<Job> {
        const engine::OpenedModel& opened = services.served.opened();
        RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
        RAFTER_TRY(protocols::ResponsesRequest request, protocols::parse_responses_request(body, opened, new_defaults(services, text)));
        ResponsesAnswer answer(request, new_identity(services, id, request.model), *opened.tokenizer);
        Job job = job_of(request);
        job.sequences.push_back(std::move(request.sequence));
        if (request.stream) {
            job.writer = std::make_unique<ResponseEvents>(std::move(answer), request.timings);
        } else {
            job.writer = std::make_unique<SingleAnswer<ResponsesAnswer>>(std::move(answer), request.timings);
        }
        return job;
    });
}

}  // namespace rafter::server
