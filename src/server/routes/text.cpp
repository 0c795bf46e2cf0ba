// /tokenize, /detokenize, /apply-template, /v1/messages/count_tokens: text and tokens, on a worker thread, without the engine.
#include "protocols/anthropic_request.h"
#include "protocols/json_body.h"
#include "protocols/tokenize.h"
#include "server/generation.h"
#include "server/routes.h"
#include "server/routes/new_answer.h"

namespace rafter::server {
namespace {

using Answer = Result<protocols::TokenizeAnswer>;
using Function = Answer (*)(const nlohmann::json&, const engine::OpenedModel&, const protocols::OpenAiDefaults&);

Answer answer_of(Services& services, const std::string& text, Function function) {
    RAFTER_TRY(const nlohmann::json body, protocols::parse_json_body(text));
    return function(body, services.served.opened(), new_defaults(services, text));
}

void answer_text(Services& services, std::shared_ptr<Call> call, Function function) {
    const JobSize size = job_size(call->request());
    auto answer = std::make_shared<Answer>(Error{"out of memory for the request", ErrorKind::kOutOfMemory});
    auto shown = std::make_shared<std::string>();   // the answer's JSON, which can be millions of tokens
    const HttpRequest* request = &call->request();  // `after` keeps the call
    const auto gone = note_when_gone(*call);
    services.workers.run(
        size,
        [&services, function, request, answer, shown, gone] {
            if (*gone) return;
            *answer = answer_of(services, request->body, function);
            if (*answer) *shown = dump((*answer)->body);
        },
        [&services, answer, shown, call = std::move(call)] {
            if (!*answer) {
                call->refuse(refused_by(answer->error()));
            } else if (const auto refused = refuse_model(services, (*answer)->model)) {
                call->refuse(*refused);
            } else {
                call->text("application/json", std::move(*shown));
            }
        });
}

}  // namespace

void answer_tokenize(Services& services, std::shared_ptr<Call> call) { answer_text(services, std::move(call), protocols::tokenize); }
void answer_detokenize(Services& services, std::shared_ptr<Call> call) { answer_text(services, std::move(call), protocols::detokenize); }
void answer_apply_template(Services& services, std::shared_ptr<Call> call) {
    answer_text(services, std::move(call), protocols::apply_template);
}
void answer_message_tokens(Services& services, std::shared_ptr<Call> call) {
    answer_text(services, std::move(call), protocols::count_anthropic_tokens);
}

}  // namespace rafter::server
