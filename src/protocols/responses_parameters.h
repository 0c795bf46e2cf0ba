// The keys of /v1/responses: OpenAI's, those of ours that make sense there, and those that a server without memory refuses.
#pragma once

#include "protocols/openai_parameters.h"

namespace rafter::protocols::parameters {

inline constexpr Parameter kInput{
    .name = "input",
    .kind = kSchema,
    .help =
        "A text, or a list of items: the whole conversation, as nothing of earlier answers is kept. Items are messages, function_call, "
        "function_call_output and reasoning.",
    .schema =
        R"({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"anyOf": [
                  {"type": "object", "required": ["role", "content"],
                  "properties": {"type": {"const": "message"}, "role": {"enum": ["system", "developer", "user", "assistant"]},
                  "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object", "required": ["type", "text"],
                      "properties": {"type": {"enum": ["input_text", "output_text"]}, "text": {"type": "string"}}}}]}}},
                  {"type": "object", "required": ["type", "call_id", "name", "arguments"], "properties": {"type": {"const": "function_call"},
                      "call_id": {"type": "string"}, "name": {"type": "string"}, "arguments": {"type": "string"}}},
                  {"type": "object", "required": ["type", "call_id", "output"], "properties": {"type": {"const": "function_call_output"},
                      "call_id": {"type": "string"}, "output": {"type": "string"}}},
                  {"type": "object", "required": ["type"], "properties": {"type": {"const": "reasoning"}, "content": {"type": ["array", "null"],
                      "items": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}}}}]}}]})",
    .required = true};
inline constexpr Parameter kInstructions{.name = "instructions", .kind = kText, .help = "A system message before the input."};
inline constexpr Parameter kMaxOutputTokens{
    .name = "max_output_tokens", .kind = kWhole, .low = 1, .high = kMaxUint, .help = "Of the answer. Missing: the rest of the context."};
inline constexpr Parameter kMetadata{
    .name = "metadata",
    .kind = kSchema,
    .help = "Up to 16 texts by name, which the answer repeats.",
    .schema = R"({"type": ["object", "null"], "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 512}})"};
inline constexpr Parameter kTextFormat{
    .name = "text",
    .kind = kSchema,
    .help = "format: text, json_object, or json_schema with a schema that the answer is valid by.",
    .schema =
        R"({"type": ["object", "null"], "properties": {"format": {"type": ["object", "null"], "required": ["type"], "properties": {
                  "type": {"enum": ["text", "json_object", "json_schema"]}, "name": {"type": "string"}, "schema": {"type": "object"},
                  "description": {"type": ["string", "null"]}, "strict": {"type": ["boolean", "null"]}}}}})"};
inline constexpr Parameter kReasoning{.name = "reasoning",
                                      .kind = kSchema,
                                      .help = "effort: a variable for the chat template.",
                                      .schema = R"({"type": ["object", "null"], "properties": {"effort": {"type": ["string", "null"]}}})"};
inline constexpr Parameter kTopLogprobsOfResponse{
    .name = "top_logprobs",
    .kind = kWhole,
    .high = kMaxLogprobs,
    .standard = "0",
    .help = "The likeliest tokens at each place; include \"message.output_text.logprobs\" to see them."};
inline constexpr Parameter kInclude{
    .name = "include",
    .kind = kSchema,
    .help = "message.output_text.logprobs: the log-probability of each token of the answer.",
    .schema = R"({"type": ["array", "null"], "items": {"enum": ["message.output_text.logprobs", "reasoning.encrypted_content"]}})"};
inline constexpr Parameter kTruncation{
    .name = "truncation", .kind = kSchema, .help = "Inputs that are too long are refused.", .schema = R"({"enum": ["disabled", null]})"};

inline constexpr Parameter kToolsOfResponse{
    .name = "tools",
    .kind = kSchema,
    .help = "Functions that the answer may call; parameters are a JSON schema of an object.",
    .schema = R"({"type": ["array", "null"], "maxItems": 512, "items": {"type": "object", "required": ["type", "name"], "properties": {
                  "type": {"const": "function"}, "name": {"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,64}$"},
                  "description": {"type": ["string", "null"]}, "parameters": {"type": ["object", "null"]},
                  "strict": {"type": ["boolean", "null"]}}}})"};
inline constexpr Parameter kToolChoiceOfResponse{
    .name = "tool_choice",
    .kind = kSchema,
    .standard = R"("auto")",
    .help = kToolChoice.help,
    .schema = R"({"anyOf": [{"enum": ["none", "auto", "required", null]}, {"type": "object", "required": ["type", "name"], "properties": {
                  "type": {"const": "function"}, "name": {"type": "string"}}}]})"};

inline constexpr Parameter kUnsupportedInResponses[] = {
    unsupported("previous_response_id", "Nothing is kept from one request to the next: send the whole conversation."),
    unsupported("store", "Nothing is kept from one request to the next."),
    unsupported("background", "Nothing is kept from one request to the next."),
    unsupported("conversation", "Nothing is kept from one request to the next."),
    unsupported("prompt", "There are no stored prompts."),
    unsupported("context_management"),
    unsupported("moderation"),
};
inline constexpr Parameter kWithoutEffectInResponses[] = {
    without_effect("user"),
    without_effect("safety_identifier"),
    without_effect("prompt_cache_key"),
    without_effect("prompt_cache_options"),
    without_effect("prompt_cache_retention"),
    without_effect("service_tier"),
    without_effect("max_tool_calls"),
    without_effect("stream_options"),
};

inline constexpr const Parameter* kOfResponses[] = {
    &kInput,
    &kModel,
    &kInstructions,
    &kMaxOutputTokens,
    &kMetadata,
    &kTextFormat,
    &kReasoning,
    &kInclude,
    &kTruncation,
    &kTopLogprobsOfResponse,
    &kStream,
    &kToolsOfResponse,
    &kToolChoiceOfResponse,
    &kParallelToolCalls,
    &kThinkingTokenBudget,
    &kEnableThinking,
    &kTemperature,
    &kTopP,
    &kMinP,
    &kTypicalP,
    &kTopK,
    &kPresencePenalty,
    &kFrequencyPenalty,
    &kRepetitionPenalty,
    &kLogitBias,
    &kSeed,
    &kMinTokens,
    &kIgnoreEos,
    &kStop,
    &kTimings,
    &kPriority,
    &kMaxTtftSeconds,
    &kCacheSalt,
    &kChatTemplateKwargs,
    &kReasoningEffort,
};

}  // namespace rafter::protocols::parameters
