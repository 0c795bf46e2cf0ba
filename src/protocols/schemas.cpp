// Schemas of requests: one property for each row.
#include "protocols/schemas.h"

#include <span>

#include "protocols/answer_schemas.h"
#include "protocols/anthropic_parameters.h"
#include "protocols/ollama_parameters.h"
#include "protocols/rerank_parameters.h"
#include "protocols/responses_parameters.h"
#include "protocols/service_parameters.h"

namespace rafter::protocols {
namespace {

using nlohmann::ordered_json;

// A default or a schema of a row.
ordered_json parsed(const char* text) { return ordered_json::parse(text); }

ordered_json type_of(const Parameter& row, const char* type) {
    ordered_json schema;
    schema["type"] = row.required ? ordered_json(type) : ordered_json{type, "null"};  // null counts as missing
    return schema;
}

ordered_json property(const Parameter& row) {
    ordered_json schema = ordered_json::object();
    switch (row.kind) {
        case ParameterKind::kBool:
            schema = type_of(row, "boolean");
            break;
        case ParameterKind::kNumber:
            schema = type_of(row, "number");
            schema["minimum"] = row.low;
            schema["maximum"] = row.high;
            break;
        case ParameterKind::kWhole:
            schema = type_of(row, "integer");
            schema["minimum"] = static_cast<std::uint64_t>(row.low);
            schema["maximum"] = static_cast<std::uint64_t>(row.high);
            break;
        case ParameterKind::kText:
            schema = type_of(row, "string");
            if (row.high > 0.0) {
                schema["minLength"] = static_cast<std::uint64_t>(row.low);
                schema["maxLength"] = static_cast<std::uint64_t>(row.high);
            }
            break;
        case ParameterKind::kSchema:
            schema = parsed(row.schema);
            break;
        case ParameterKind::kNoEffect:
            break;
        case ParameterKind::kNotSupported:
            schema["enum"] = {nullptr, false, 0, "", ordered_json::array(), ordered_json::object()};
            break;
    }
    if (row.standard != nullptr) schema["default"] = parsed(row.standard);
    if (*row.help != '\0') schema["description"] = row.help;
    return schema;
}

class RequestSchema {
  public:
    explicit RequestSchema(const char* help) {
        schema_ = {{"type", "object"}, {"description", help}, {"properties", ordered_json::object()}};
    }
    RequestSchema& add(const Parameter& row) {
        schema_["properties"][row.name] = property(row);
        if (row.required) schema_["required"].push_back(row.name);
        return *this;
    }
    RequestSchema& add(std::span<const Parameter* const> rows) {
        for (const Parameter* row : rows) add(*row);
        return *this;
    }
    RequestSchema& add(std::span<const Parameter> rows) {
        for (const Parameter& row : rows) add(row);
        return *this;
    }
    [[nodiscard]] ordered_json take() { return std::move(schema_); }

  private:
    ordered_json schema_;
};

ordered_json openai_request(const char* help, std::span<const Parameter* const> own) {
    return RequestSchema(help).add(own).add(parameters::kOfBoth).add(parameters::kWithoutEffect).add(parameters::kUnsupported).take();
}

void add_ollama_requests(ordered_json& schemas) {
    const ordered_json options = RequestSchema("").add(parameters::kOfOllamaOptions).take()["properties"];
    schemas["OllamaChatRequest"] =
        RequestSchema("A conversation to answer, as Ollama has it.").add(parameters::kOfOllama).add(parameters::kOfOllamaChat).take();
    schemas["OllamaGenerateRequest"] = RequestSchema("A prompt to answer, as Ollama has it.")
                                           .add(parameters::kOfOllama)
                                           .add(parameters::kOfOllamaGenerate)
                                           .add(parameters::kUnsupportedInGenerate)
                                           .take();
    schemas["OllamaEmbedRequest"] = RequestSchema("Texts to embed, as Ollama has it.").add(parameters::kOfOllamaEmbed).take();
    schemas["OllamaEmbeddingsRequest"] = RequestSchema("A text to embed, as Ollama had it.").add(parameters::kOfOllamaEmbeddings).take();
    for (const char* name : {"OllamaChatRequest", "OllamaGenerateRequest", "OllamaEmbedRequest", "OllamaEmbeddingsRequest"}) {
        schemas[name]["properties"][parameters::kOllamaOptions.name]["properties"] = options;
    }
    schemas["OllamaShowRequest"] = RequestSchema("A model to show.").add(parameters::kOfOllamaShow).take();
}

}  // namespace

ordered_json component_schemas() {
    ordered_json schemas;
    schemas["ChatCompletionRequest"] = openai_request("A conversation to answer.", parameters::kOfChat);
    schemas["CompletionRequest"] = openai_request("Texts to continue.", parameters::kOfCompletion);
    for (const Parameter& row : parameters::kUnsupportedInCompletions) schemas["CompletionRequest"]["properties"][row.name] = property(row);
    schemas["ResponseRequest"] = RequestSchema("A conversation to answer, as items.")
                                     .add(parameters::kOfResponses)
                                     .add(parameters::kWithoutEffectInResponses)
                                     .add(parameters::kUnsupportedInResponses)
                                     .take();
    schemas["MessageRequest"] = RequestSchema("A conversation to answer, as Anthropic has it.")
                                    .add(parameters::kOfAnthropicPrompt)
                                    .add(parameters::kOfMessages)
                                    .add(parameters::kWithoutEffectInMessages)
                                    .add(parameters::kUnsupportedInMessages)
                                    .take();
    schemas["MessageTokensRequest"] = RequestSchema("A conversation whose tokens are counted, as Anthropic has it.")
                                          .add(parameters::kOfAnthropicPrompt)
                                          .add(parameters::kWithoutEffectInMessages)
                                          .add(parameters::kUnsupportedInMessages)
                                          .take();
    schemas["EmbeddingRequest"] = RequestSchema("Texts to embed.").add(parameters::kOfEmbeddings).take();
    schemas["TokenizeRequest"] = RequestSchema("One of prompt, messages and content.").add(parameters::kOfTokenize).take();
    for (const Parameter* row : {&parameters::kTokenizePrompt, &parameters::kTokenizeMessages, &parameters::kContent}) {
        schemas["TokenizeRequest"]["oneOf"].push_back(
            {{"required", {row->name}}, {"properties", {{row->name, {{"not", {{"type", "null"}}}}}}}});
    }
    schemas["DetokenizeRequest"] = RequestSchema("Token ids.").add(parameters::kOfDetokenize).take();
    schemas["ApplyTemplateRequest"] = RequestSchema("A conversation.").add(parameters::kOfApplyTemplate).take();
    schemas["RerankRequest"] =
        RequestSchema("A query and documents to put in order.").add(parameters::kOfRerank).add(parameters::kOfRelevance).take();
    schemas["ScoreRequest"] = RequestSchema("Pairs of texts to compare.").add(parameters::kOfScore).add(parameters::kOfRelevance).take();
    add_ollama_requests(schemas);
    const ordered_json answers = answer_schemas();
    for (const auto& [name, schema] : answers.items()) schemas[name] = schema;
    return schemas;
}

}  // namespace rafter::protocols
