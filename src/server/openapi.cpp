// An operation of each route, and the refusals that each can get.
#include "server/openapi.h"

#include <string>

#include "protocols/schemas.h"
#include "server/routes.h"

namespace rafter::server {
namespace {

using nlohmann::ordered_json;

ordered_json schema_reference(std::string_view name) { return {{"$ref", fmt::format("#/components/schemas/{}", name)}}; }

ordered_json answer_of(std::string_view description, std::string_view content_type, const ordered_json& schema) {
    return {{"description", description}, {"content", {{std::string(content_type), {{"schema", schema}}}}}};
}

std::string_view error_schema(ErrorForm form) {
    switch (form) {
        case ErrorForm::kAnthropic:
            return "AnthropicError";
        case ErrorForm::kOllama:
            return "OllamaError";
        case ErrorForm::kOpenAi:
            break;
    }
    return "Error";
}

ordered_json operation(const Route& route) {
    ordered_json json{{"summary", route.summary}};
    if (route.ends_in_name) {
        json["parameters"] =
            ordered_json::array({{{"name", "model"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
    }
    if (route.access == Access::kOpen) json["security"] = ordered_json::array();
    ordered_json answers;
    if (route.answer_schema.empty()) {
        answers["200"] = answer_of(route.summary, route.content_type, {{"type", "string"}});
    } else {
        answers["200"] = answer_of(route.summary, route.content_type, schema_reference(route.answer_schema));
    }
    const auto refusal = [&](const char* status, std::string_view why) {
        answers[status] = answer_of(why, "application/json", schema_reference(error_schema(route.errors)));
    };
    if (!route.request_schema.empty()) {
        json["requestBody"] = {{"required", true},
                               {"content", {{"application/json", {{"schema", schema_reference(route.request_schema)}}}}}};
        if (route.streams) answers["200"]["content"][std::string(route.stream_type)] = {{"schema", {{"type", "string"}}}};
        refusal("400", "The request cannot be answered: the message says what was expected and what was found");
        refusal("404", "The model is not served");
        refusal("413", "The body is too large");
        refusal("429", "Busy: Retry-After says when asking again is worth it");
        refusal("503", "Stopping, or out of memory");
    }
    if (route.ends_in_name) refusal("404", "The model is not served");
    if (route.access == Access::kKey) refusal("401", "No valid API key");
    refusal("403", "The host or the origin may not ask");
    if (route.path == "/ready") answers["503"] = answer_of("Not now", "application/json", schema_reference(route.answer_schema));
    json["responses"] = std::move(answers);
    return json;
}

std::string method_key(std::string_view method) { return method == "POST" ? "post" : "get"; }

}  // namespace

ordered_json openapi_json(std::string_view version) {
    ordered_json paths = ordered_json::object();
    for (const Route& route : routes())
        paths[std::string(route.path) + (route.ends_in_name ? "{model}" : "")][method_key(route.method)] = operation(route);
    return {{"openapi", "3.1.0"},
            {"info",
             {{"title", "Rafter"},
              {"version", version},
              {"description", "A language model behind OpenAI's API, which says how fast it will be and why it was not faster."}}},
            {"security", ordered_json::array({{{"key", ordered_json::array()}}})},
            {"paths", std::move(paths)},
            {"components",
             {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}, {"schemas", protocols::component_schemas()}}}};
}

}  // namespace rafter::server
