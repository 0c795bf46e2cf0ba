// How the server is, what it serves, and what it is doing: for people, routers, dashboards and clients that look before they ask.
#include <fmt/format.h>

#include <algorithm>

#include "base/version.h"
#include "protocols/model_info.h"
#include "server/generation.h"
#include "server/models/asked_model.h"
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
std::string not_ready(const Models& models, const GateLoad& load) {
    if (models.stopping()) return "stopping";
    if (load.n_queued >= models.max_queue()) return "the queue is full";
    return {};
}

// Of all models together, with the requests that wait for one to be loaded. Models take turns, so what waits for one waits for the others
// too.
GateLoad load_of_all(const Models& models) {
    GateLoad sum;
    for (const auto& entry : models.entries()) {
        const GateLoad load = entry->load();
        sum.n_queued += load.n_queued + entry->n_waiting();
        sum.n_waiting += load.n_waiting;
        sum.n_running += load.n_running;
        sum.queued_seconds += load.queued_seconds;
        sum.n_blocks += load.n_blocks;
        sum.n_free_blocks += load.n_free_blocks;
        sum.first_token_seconds = std::max(sum.first_token_seconds, load.first_token_seconds);
    }
    return sum;
}

protocols::ModelInfo info_of(const Models& models, const ModelEntry& entry) {
    protocols::ModelInfo info;
    if (entry.services() != nullptr) {
        info = model_info(*entry.services());
        info.planned_bytes = entry.planned_bytes();
    }
    info.name = entry.name();
    info.created_unix_s = models.started_unix_s();
    info.state = to_string(entry.state());
    info.error = entry.last_error();
    return info;
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

void answer_health(Models&, std::shared_ptr<Call> call) { call->json({{"status", "ok"}}); }

void answer_ready(Models& models, std::shared_ptr<Call> call) {
    const std::string why = not_ready(models, load_of_all(models));
    if (why.empty()) {
        call->json({{"status", "ready"}});
    } else {
        call->json({{"status", why}}, kStatusUnavailable);
    }
}

void answer_load(Models& models, std::shared_ptr<Call> call) {
    const GateLoad load = load_of_all(models);
    call->json({{"ready", not_ready(models, load).empty()},
                {"n_running", load.n_running},
                {"n_queued", load.n_queued},
                {"n_waiting", load.n_waiting},
                {"queued_seconds", load.queued_seconds},
                {"first_token_seconds", load.first_token_seconds},
                {"n_blocks", load.n_blocks},
                {"n_free_blocks", load.n_free_blocks}});
}

void answer_models(Models& models, std::shared_ptr<Call> call) {
    std::vector<protocols::ModelInfo> infos;
    for (const auto& entry : models.entries()) infos.push_back(info_of(models, *entry));
    call->json(protocols::models_answer(infos));
}

void answer_model(Models& models, std::shared_ptr<Call> call) {
    constexpr std::string_view kBefore = "/v1/models/";
    // As it is written, or as a URL writes it.
    std::string name = call->request().path.substr(kBefore.size());
    const ModelEntry* entry = models.find(name);
    if (entry == nullptr) {
        name = percent_decoded(name);
        entry = models.find(name);
    }
    if (entry == nullptr) {
        call->refuse(models.not_found(name, ErrorForm::kOpenAi));
        return;
    }
    protocols::ModelInfo info = info_of(models, *entry);
    info.name = name;
    call->json(protocols::model_answer(info));
}

void answer_props(Services& services, std::shared_ptr<Call> call) {
    call->json(protocols::props_answer(model_info(services), *services.served.opened().tokenizer));
}

void answer_version(Models&, std::shared_ptr<Call> call) { call->json(protocols::version_answer(version())); }

void answer_openapi(Models&, std::shared_ptr<Call> call) { call->json(openapi_json(version())); }

void answer_metrics(Models& models, std::shared_ptr<Call> call) {
    std::vector<Metrics::Page> pages;
    for (const auto& entry : models.entries()) {
        pages.push_back({.metrics = entry->metrics(),
                         .now = {.engine = entry->engine(),
                                 .load = entry->load(),
                                 .n_changed_system_tokens = entry->prefixes().n_changed_system_tokens()}});
    }
    pages.front().now.http = models.http_counters();
    call->text(Metrics::content_type(), Metrics::text(pages));
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

void answer_page(Models&, std::shared_ptr<Call> call) { call->respond(page_response(call->request())); }

}  // namespace rafter::server
