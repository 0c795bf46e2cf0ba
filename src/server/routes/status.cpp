// How the server is, what it serves, and what it is doing: for people, routers, dashboards and clients that look before they ask.
#include <fmt/format.h>

#include "base/version.h"
#include "protocols/model_info.h"
#include "server/generation.h"
#include "server/observe/explanation.h"
#include "server/observe/roofline_view.h"
#include "server/openapi.h"
#include "server/page/page.h"
#include "server/routes.h"
#include "server/routes/served_info.h"

namespace rafter::server {
namespace {

using nlohmann::ordered_json;

constexpr int kStatusUnavailable = 503;

// Why a request would not be taken now; "": it would.
std::string not_ready(const Services& services, const GateLoad& load) {
    if (services.stopping) return "stopping";
    if (load.n_queued >= services.max_queue) return "the queue is full";
    return {};
}

Explanation explain_now(const Services& services) {
    const std::optional<hardware::Profile>& machine = services.served.machine();
    return explain({.model_name = services.model_name(),
                    .watch = services.watch,
                    .prefixes = services.prefixes,
                    .scheduler = services.served.thread().options(),
                    .engine = services.served.thread().snapshot(),
                    .load = services.gate.load(),
                    .machine_doubt = machine && !machine->trusted ? machine->doubt : std::string()});
}

}  // namespace

void answer_health(Services&, std::shared_ptr<Call> call) { call->json({{"status", "ok"}}); }

void answer_ready(Services& services, std::shared_ptr<Call> call) {
    const std::string why = not_ready(services, services.gate.load());
    if (why.empty()) {
        call->json({{"status", "ready"}});
    } else {
        call->json({{"status", why}}, kStatusUnavailable);
    }
}

void answer_load(Services& services, std::shared_ptr<Call> call) {
    const GateLoad load = services.gate.load();
    call->json({{"ready", not_ready(services, load).empty()},
                {"n_running", load.n_running},
                {"n_queued", load.n_queued},
                {"n_waiting", load.n_waiting},
                {"queued_seconds", load.queued_seconds},
                {"first_token_seconds", load.first_token_seconds},
                {"n_blocks", load.n_blocks},
                {"n_free_blocks", load.n_free_blocks}});
}

void answer_models(Services& services, std::shared_ptr<Call> call) { call->json(protocols::models_answer(model_info(services))); }

void answer_model(Services& services, std::shared_ptr<Call> call) {
    constexpr std::string_view kBefore = "/v1/models/";
    const std::string name = call->request().path.substr(kBefore.size());
    if (const auto refused = refuse_model(services, name)) {
        call->refuse(*refused);
        return;
    }
    protocols::ModelInfo info = model_info(services);
    info.name = name;
    call->json(protocols::model_answer(info));
}

void answer_props(Services& services, std::shared_ptr<Call> call) {
    call->json(protocols::props_answer(model_info(services), *services.served.opened().tokenizer));
}

void answer_version(Services&, std::shared_ptr<Call> call) { call->json(protocols::version_answer(version())); }

void answer_openapi(Services&, std::shared_ptr<Call> call) { call->json(openapi_json(version())); }

void answer_metrics(Services& services, std::shared_ptr<Call> call) {
    const engine::EngineSnapshot engine = services.served.thread().snapshot();
    const GateLoad load = services.gate.load();
    call->text(Metrics::content_type(), services.metrics.text({.engine = engine,
                                                               .load = load,
                                                               .http = services.http.counters(),
                                                               .n_changed_system_tokens = services.prefixes.n_changed_system_tokens()}));
}

void answer_roofline(Services& services, std::shared_ptr<Call> call) {
    call->json(roofline_json({.model_name = services.model_name(),
                              .machine = machine_roofs(services.served, services.watch),
                              .watch = services.watch,
                              .engine = services.served.thread().snapshot(),
                              .load = services.gate.load(),
                              .verdict = short_verdict(explain_now(services))}));
}

void answer_explain(Services& services, std::shared_ptr<Call> call) {
    const std::string* accept = call->request().header("accept");
    if (accept != nullptr && accept->find("application/json") != std::string::npos) {
        call->json(to_json(explain_now(services)));
    } else {
        call->text("text/plain; charset=utf-8", to_text(explain_now(services)));
    }
}

void answer_page(Services&, std::shared_ptr<Call> call) { call->respond(page_response(call->request())); }

}  // namespace rafter::server
