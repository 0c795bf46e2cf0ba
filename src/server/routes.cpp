// The table, in the order in which /openapi.json lists it.
#include "server/routes.h"

#include <algorithm>
#include <array>

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
    Route{.method = "GET",
          .path = "/v1/models",
          .answer = answer_models,
          .summary = "The model that is served",
          .answer_schema = "ModelList"},
    Route{.method = "GET",
          .path = "/v1/models/",
          .answer = answer_model,
          .summary = "The model of this name",
          .answer_schema = "Model",
          .ends_in_name = true},
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
          .answer = answer_props,
          .summary = "The model's properties and defaults",
          .answer_schema = "Props"},
    Route{.method = "GET", .path = "/version", .answer = answer_version, .summary = "The program's version", .answer_schema = "Version"},
    Route{.method = "GET",
          .path = "/health",
          .access = Access::kOpen,
          .answer = answer_health,
          .summary = "200 while the server is alive",
          .answer_schema = "Status"},
    Route{.method = "GET",
          .path = "/ready",
          .access = Access::kOpen,
          .answer = answer_ready,
          .summary = "200 while a request would be taken, 503 otherwise",
          .answer_schema = "Status"},
    Route{.method = "GET",
          .path = "/load",
          .answer = answer_load,
          .summary = "How busy the server is, for a router",
          .answer_schema = "Load"},
    Route{.method = "GET", .path = "/metrics", .answer = answer_metrics, .summary = "Metrics for Prometheus", .content_type = "text/plain"},
    Route{.method = "GET",
          .path = "/roofline",
          .answer = answer_roofline,
          .summary = "The latest steps under the machine's roofs",
          .answer_schema = "Roofline"},
    Route{.method = "GET",
          .path = "/explain",
          .answer = answer_explain,
          .summary = "What limited the last minute, and what would help; JSON where it is accepted",
          .content_type = "text/plain"},
    Route{.method = "GET", .path = "/openapi.json", .access = Access::kOpen, .answer = answer_openapi, .summary = "This description"},
    Route{.method = "GET",
          .path = "/",
          .access = Access::kOpen,
          .answer = answer_page,
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

ErrorForm error_form_of(std::string_view path) {
    const auto found = std::ranges::find(kRoutes, path, &Route::path);
    return found == kRoutes.end() ? ErrorForm::kOpenAi : found->errors;
}

}  // namespace rafter::server
