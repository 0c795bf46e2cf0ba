// The table, in the order in which /openapi.json lists it.
#include "server/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/quote.h"
#include "protocols/json_body.h"
#include "server/generation.h"
#include "server/models/asked_model.h"

namespace rafter::server {
namespace {

constexpr std::array kRoutes = {
    Route{.method = "POST",
          .path = "/v1/chat/completions",
          .answer = answer_chat,
          .summary = "Answer a chat",
          .request_schema = "ChatCompletionRequest",
          .answer_schema = "ChatCompletion",
          .streams = true},
    Route{.method = "POST",
          .path = "/v1/completions",
          .answer = answer_completion,
          .summary = "Continue one or more prompts",
          .request_schema = "CompletionRequest",
          .answer_schema = "Completion",
          .streams = true},
    Route{.method = "POST",
          .path = "/v1/responses",
          .answer = answer_response,
          .summary = "Answer items; nothing is stored",
          .request_schema = "ResponseRequest",
          .answer_schema = "Response",
          .streams = true},
    Route{.method = "POST",
          .path = "/v1/messages",
          .answer = answer_message,
          .summary = "Answer a conversation in Anthropic's form",
          .request_schema = "MessageRequest",
          .answer_schema = "Message",
          .streams = true,
          .errors = ErrorForm::kAnthropic},
    Route{.method = "POST",
          .path = "/v1/messages/count_tokens",
          .answer = answer_message_tokens,
          .summary = "Count the tokens of a conversation in Anthropic's form",
          .request_schema = "MessageTokensRequest",
          .answer_schema = "MessageTokens",
          .errors = ErrorForm::kAnthropic},
    Route{.method = "POST",
          .path = "/v1/embeddings",
          .answer = answer_embeddings,
          .summary = "Embed texts",
          .request_schema = "EmbeddingRequest",
          .answer_schema = "EmbeddingList"},
    Route{.method = "POST",
          .path = "/v1/rerank",
          .answer = answer_rerank,
          .summary = "Put documents in the order of how well they meet a query",
          .request_schema = "RerankRequest",
          .answer_schema = "Ranking"},
    Route{.method = "POST",
          .path = "/v1/score",
          .answer = answer_score,
          .summary = "Say how well texts fit each other",
          .request_schema = "ScoreRequest",
          .answer_schema = "ScoreList"},
    Route{.method = "GET",
          .path = "/v1/models",
          .answer_for_all = answer_models,
          .summary = "The model that is served",
          .answer_schema = "ModelList"},
    Route{.method = "GET",
          .path = "/v1/models/",
          .answer_for_all = answer_model,
          .summary = "The model of this name",
          .answer_schema = "Model",
          .ends_in_name = true},
    Route{.method = "POST",
          .path = "/api/chat",
          .answer = answer_ollama_chat,
          .answer_unloaded = unload_for_ollama_chat,
          .summary = "Answer a chat, as Ollama does",
          .request_schema = "OllamaChatRequest",
          .answer_schema = "OllamaChat",
          .streams = true,
          .stream_type = "application/x-ndjson",
          .errors = ErrorForm::kOllama},
    Route{.method = "POST",
          .path = "/api/generate",
          .answer = answer_ollama_generate,
          .answer_unloaded = unload_for_ollama_generate,
          .summary = "Answer a prompt, as Ollama does",
          .request_schema = "OllamaGenerateRequest",
          .answer_schema = "OllamaGenerate",
          .streams = true,
          .stream_type = "application/x-ndjson",
          .errors = ErrorForm::kOllama},
    Route{.method = "POST",
          .path = "/api/embed",
          .answer = answer_ollama_embed,
          .summary = "Embed texts, as Ollama does",
          .request_schema = "OllamaEmbedRequest",
          .answer_schema = "OllamaEmbed",
          .errors = ErrorForm::kOllama},
    Route{.method = "POST",
          .path = "/api/embeddings",
          .answer = answer_ollama_embeddings,
          .summary = "Embed a text, as Ollama did",
          .request_schema = "OllamaEmbeddingsRequest",
          .answer_schema = "OllamaEmbeddings",
          .errors = ErrorForm::kOllama},
    Route{.method = "GET",
          .path = "/api/tags",
          .answer_for_all = answer_ollama_tags,
          .summary = "The model that is served, as Ollama lists it",
          .answer_schema = "OllamaModels",
          .errors = ErrorForm::kOllama},
    Route{.method = "GET",
          .path = "/api/ps",
          .answer_for_all = answer_ollama_ps,
          .summary = "The model that is loaded, as Ollama lists it",
          .answer_schema = "OllamaModels",
          .errors = ErrorForm::kOllama},
    Route{.method = "POST",
          .path = "/api/show",
          .answer = answer_ollama_show,
          .summary = "The model's metadata, template and capabilities",
          .request_schema = "OllamaShowRequest",
          .answer_schema = "OllamaShow",
          .errors = ErrorForm::kOllama},
    Route{.method = "GET",
          .path = "/api/version",
          .answer_for_all = answer_ollama_version,
          .summary = "The program's version",
          .answer_schema = "Version",
          .errors = ErrorForm::kOllama},
    Route{.method = "POST",
          .path = "/tokenize",
          .answer = answer_tokenize,
          .summary = "Tokens of a text or a chat",
          .request_schema = "TokenizeRequest",
          .answer_schema = "TokenizeAnswer"},
    Route{.method = "POST",
          .path = "/detokenize",
          .answer = answer_detokenize,
          .summary = "The text of tokens",
          .request_schema = "DetokenizeRequest",
          .answer_schema = "DetokenizeAnswer"},
    Route{.method = "POST",
          .path = "/apply-template",
          .answer = answer_apply_template,
          .summary = "The prompt that the chat template makes of messages",
          .request_schema = "ApplyTemplateRequest",
          .answer_schema = "ApplyTemplateAnswer"},
    Route{.method = "GET",
          .path = "/props",
          .answer_if_loaded = answer_props,
          .summary = "The model's properties and defaults",
          .answer_schema = "Props"},
    Route{.method = "GET",
          .path = "/version",
          .answer_for_all = answer_version,
          .summary = "The program's version",
          .answer_schema = "Version"},
    Route{.method = "GET",
          .path = "/health",
          .access = Access::kOpen,
          .answer_for_all = answer_health,
          .summary = "200 while the server is alive",
          .answer_schema = "Status"},
    Route{.method = "GET",
          .path = "/ready",
          .access = Access::kOpen,
          .answer_for_all = answer_ready,
          .summary = "200 while a request would be taken, 503 otherwise",
          .answer_schema = "Status"},
    Route{.method = "GET",
          .path = "/load",
          .answer_for_all = answer_load,
          .summary = "How busy the server is, for a router",
          .answer_schema = "Load"},
    Route{.method = "GET",
          .path = "/metrics",
          .answer_for_all = answer_metrics,
          .summary = "Metrics for Prometheus",
          .content_type = "text/plain"},
    Route{.method = "GET",
          .path = "/roofline",
          .answer_if_loaded = answer_roofline,
          .summary = "The latest steps under the machine's roofs",
          .answer_schema = "Roofline"},
    Route{.method = "GET",
          .path = "/explain",
          .answer_if_loaded = answer_explain,
          .summary = "What limited the last minute, and what would help; JSON where it is accepted",
          .content_type = "text/plain"},
    Route{
        .method = "GET", .path = "/openapi.json", .access = Access::kOpen, .answer_for_all = answer_openapi, .summary = "This description"},
    Route{.method = "GET",
          .path = "/",
          .access = Access::kOpen,
          .answer_for_all = answer_page,
          .summary = "A page to chat on, with the live roofline",
          .content_type = "text/html"},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

FoundRoute find_route(std::string_view method, std::string_view path) {
    FoundRoute found;
    for (const Route& route : kRoutes) {
        const bool matches = route.ends_in_name ? path.starts_with(route.path) && path.size() > route.path.size() : path == route.path;
        if (!matches) continue;
        const bool is_get = route.method == "GET";
        if (route.method == method || (is_get && method == "HEAD")) found.route = &route;
        if (!found.allowed.empty()) found.allowed += ", ";
        found.allowed += is_get ? "GET, HEAD" : std::string(route.method);
    }
    return found;
}

namespace {

constexpr std::size_t kQuicklyRead = 65'536;  // bytes of a body

// The call waits for a model: a client that reads a stream is told so, and its connection is kept alive.
void begin_waiting(const Route& route, const ModelEntry& entry, const AskedModel& asked, Call& call) {
    const bool as_lines = route.errors == ErrorForm::kOllama;
    if (!route.streams || !asked.stream.value_or(as_lines)) return;
    if (as_lines) {
        call.begin_lines();
        return;
    }
    call.set_heartbeat_of_form();
    call.begin_events();
    call.send_comment(fmt::format("waiting for the model {}", quote(entry.name())));
}

void answer_asked(Models& models, const Route& route, std::shared_ptr<Call> call, AskedModel asked) {
    if (asked.model && asked.model->empty() && route.errors == ErrorForm::kOllama) asked.model.reset();
    if (!asked.model && route.path == "/api/show") asked.model = asked.name;
    ModelEntry* entry = asked.model ? models.find(*asked.model) : &models.first();
    if (!asked.is_json && (entry == nullptr || entry->services() == nullptr)) {  // nothing is loaded for it
        const auto parsed = protocols::parse_json_body(call->request().body);
        call->refuse(parsed ? Refused{.status = 400, .message = "body: expected a JSON object"} : refused_by(parsed.error()));
        return;
    }
    if (entry == nullptr) {
        call->refuse(models.not_found(*asked.model, route.errors));
        return;
    }
    const bool will_be_there = entry->state() == ModelState::kLoaded || entry->state() == ModelState::kLoading;
    const bool may_be_short = call->request().body.size() <= kQuicklyRead;
    if (!will_be_there && may_be_short && route.answer_unloaded != nullptr) {
        call->record.model = entry->name();
        if (route.answer_unloaded(asked.model ? *asked.model : entry->name(), *call)) return;
    }
    const bool waits = models.use(*entry, call, [&route, call](Services& services) { route.answer(services, call); });
    if (waits) begin_waiting(route, *entry, asked, *call);
}

bool is_loaded(const Models& models, const std::optional<std::string>& model) {
    const ModelEntry* entry = model ? models.find(*model) : nullptr;
    return entry != nullptr && entry->state() == ModelState::kLoaded;
}

void answer_if_loaded(Models& models, const Route& route, std::shared_ptr<Call> call) {
    const std::optional<std::string> name = model_in_query(call->request().query);
    ModelEntry* entry = name ? models.find(*name) : models.latest();
    if (name && entry == nullptr) {
        call->refuse(models.not_found(*name, route.errors));
    } else if (entry == nullptr || entry->services() == nullptr) {
        call->refuse({.status = 503,
                      .message = entry == nullptr
                                     ? "no model is in memory: a request that names one loads it"
                                     : fmt::format("the model {} is not in memory: a request that names it loads it", quote(entry->name())),
                      .code = "model_not_loaded"});
    } else {
        route.answer_if_loaded(*entry->services(), std::move(call));
    }
}

}  // namespace

void answer_route(Models& models, const Route& route, std::shared_ptr<Call> call) {
    if (route.answer_for_all != nullptr) return route.answer_for_all(models, std::move(call));
    if (route.answer_if_loaded != nullptr) return answer_if_loaded(models, route, std::move(call));
    if (models.entries().size() == 1 && models.first().services() != nullptr) {
        models.use(models.first(), call, [&route, call](Services& services) { route.answer(services, call); });
        return;
    }
    const std::string& body = call->request().body;
    if (body.size() <= kQuicklyRead) {
        std::optional<std::string> model = quick_model(body);
        answer_asked(models, route, std::move(call), is_loaded(models, model) ? AskedModel{.model = std::move(model)} : asked_model(body));
        return;
    }
    // On a worker, and all of the body only where its model has to be loaded or is not the first that it says.
    auto asked = std::make_shared<AskedModel>();
    const JobSize size = job_size(call->request());
    models.workers().run(
        size, [&body, asked] { asked->model = quick_model(body); },
        [&models, &route, &body, size, asked, call] {
            if (is_loaded(models, asked->model)) {
                answer_asked(models, route, call, std::move(*asked));
                return;
            }
            models.workers().run(
                size, [&body, asked] { *asked = asked_model(body); },
                [&models, &route, asked, call] { answer_asked(models, route, call, std::move(*asked)); });
        });
}

ErrorForm error_form_of(std::string_view path) {
    if (path.starts_with("/api/")) return ErrorForm::kOllama;  // those that there are not, too
    const auto found = std::ranges::find(kRoutes, path, &Route::path);
    return found == kRoutes.end() ? ErrorForm::kOpenAi : found->errors;
}

}  // namespace rafter::server
