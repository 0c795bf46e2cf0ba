// JSON Schemas of all bodies, for the "components" of an OpenAPI 3.1 document. Those of requests are made of the rows that the parsers read
// (parameter.h); tests hold them to the parsers, and those of answers to real answers.
//
//   requests   ChatCompletionRequest, CompletionRequest, ResponseRequest, MessageRequest, MessageTokensRequest, EmbeddingRequest,
//              TokenizeRequest, DetokenizeRequest, ApplyTemplateRequest
//   answers    ChatCompletion, ChatCompletionChunk, Completion, Response, ResponseEvent, Message, MessageEvent, MessageTokens,
//              EmbeddingList, TokenizeAnswer, DetokenizeAnswer, ApplyTemplateAnswer, Model, ModelList, Props, Version, Status, Load,
//              Roofline, Explanation, Error, AnthropicError
//   parts      Timings, Usage
#pragma once

#include <nlohmann/json.hpp>

namespace rafter::protocols {

// By name. References are "#/components/schemas/NAME".
[[nodiscard]] nlohmann::ordered_json component_schemas();

}  // namespace rafter::protocols
