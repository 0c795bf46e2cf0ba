// The keys of /v1/messages and /v1/messages/count_tokens: Anthropic's, those of ours that make sense there, and those that are refused.
#pragma once

#include "protocols/openai_parameters.h"

namespace rafter::protocols::parameters {

inline constexpr Parameter kMessagesOfAnthropic{
    .name = "messages",
    .kind = kSchema,
    .help = "The conversation; contents are texts or lists of blocks: text, tool_use, tool_result, thinking, redacted_thinking.",
    .schema = R"({"type": "array", "minItems": 1, "items": {"type": "object", "required": ["role", "content"], "properties": {
                  "role": {"enum": ["user", "assistant", "system"]},
                  "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object", "required": ["type"], "properties": {
                      "type": {"enum": ["text", "tool_use", "tool_result", "thinking", "redacted_thinking"]}, "text": {"type": "string"},
                      "id": {"type": "string"}, "name": {"type": "string"}, "input": {"type": "object"}, "tool_use_id": {"type": "string"},
                      "content": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "object",
                          "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]},
                      "is_error": {"type": ["boolean", "null"]}, "thinking": {"type": "string"}}}}]}}}})",
    .required = true};
inline constexpr Parameter kSystem{
    .name = "system",
    .kind = kSchema,
    .help = "The system prompt: a text, or a list of text blocks, which are joined by line ends.",
    .schema = R"({"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "object", "required": ["type", "text"],
                  "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]})"};
inline constexpr Parameter kMaxTokensOfMessage{.name = "max_tokens",
                                               .kind = kWhole,
                                               .high = kMaxUint,
                                               .help = "Of the answer; 0: the prompt is only computed, for the prefix cache.",
                                               .required = true};
inline constexpr Parameter kStopSequences{
    .name = "stop_sequences",
    .kind = kSchema,
    .help = "The answer ends before the first of these texts, and says which.",
    .schema = R"({"type": ["array", "null"], "maxItems": 64, "items": {"type": "string", "minLength": 1}})"};
inline constexpr Parameter kToolsOfMessage{
    .name = "tools",
    .kind = kSchema,
    .help = "Functions that the answer may call; input_schema is a JSON schema of an object. Tools that a server would run are refused.",
    .schema =
        R"({"type": ["array", "null"], "maxItems": 512, "items": {"type": "object", "required": ["name", "input_schema"], "properties": {
                  "type": {"enum": ["custom", null]}, "name": {"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,128}$"},
                  "description": {"type": ["string", "null"]}, "input_schema": {"type": "object"}}}})"};
inline constexpr Parameter kToolChoiceOfMessage{
    .name = "tool_choice",
    .kind = kSchema,
    .help =
        "none: the answer is text. any: it is at least one call. tool: it is a call of the tool of that name. The last two cannot fail. "
        "disable_parallel_tool_use: at most one call.",
    .schema = R"({"type": ["object", "null"], "required": ["type"], "properties": {"type": {"enum": ["auto", "any", "tool", "none"]},
                  "name": {"type": "string"}, "disable_parallel_tool_use": {"type": ["boolean", "null"]}}})"};
inline constexpr Parameter kThinking{
    .name = "thinking",
    .kind = kSchema,
    .help =
        "enabled: the answer may begin with a thought, of budget_tokens at most. adaptive: the same without a budget. disabled, or "
        "missing: it does not, where the chat template can say so.",
    .schema = R"({"type": ["object", "null"], "required": ["type"], "properties": {"type": {"enum": ["enabled", "adaptive", "disabled"]},
                  "budget_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295}}})"};
inline constexpr Parameter kOutputConfig{
    .name = "output_config",
    .kind = kSchema,
    .help = "format: json_schema with a schema that the answer is valid by. effort: a variable for the chat template (reasoning_effort).",
    .schema = R"({"type": ["object", "null"], "properties": {"effort": {"type": ["string", "null"]}, "format": {"type": ["object", "null"],
                  "required": ["type", "schema"], "properties": {"type": {"const": "json_schema"}, "schema": {"type": "object"}}}}})"};
inline constexpr Parameter kOutputFormat{
    .name = "output_format",
    .kind = kSchema,
    .help = "The older place of output_config.format.",
    .schema = R"({"type": ["object", "null"], "required": ["type", "schema"], "properties": {"type": {"const": "json_schema"},
                  "schema": {"type": "object"}}})"};

inline constexpr Parameter kUnsupportedInMessages[] = {
    unsupported("container", "Nothing is run here."),
    unsupported("mcp_servers", "Nothing is run here."),
    unsupported("compaction"),
};
inline constexpr Parameter kWithoutEffectInMessages[] = {
    without_effect("metadata"),        without_effect("service_tier"), without_effect("cache_control"),
    without_effect("inference_geo"),   without_effect("speed"),        without_effect("context_management"),
    without_effect("user_profile_id"), without_effect("workspace_id"), without_effect("diagnostics"),
};

// Of both endpoints: what the prompt is made of.
inline constexpr const Parameter* kOfAnthropicPrompt[] = {&kMessagesOfAnthropic, &kModel,          &kSystem,       &kToolsOfMessage,
                                                          &kToolChoiceOfMessage, &kThinking,       &kOutputConfig, &kEnableThinking,
                                                          &kChatTemplateKwargs,  &kReasoningEffort};
inline constexpr const Parameter* kOfMessages[] = {
    &kMaxTokensOfMessage, &kStopSequences, &kStream,          &kOutputFormat,     &kTemperature,       &kTopP,      &kMinP,
    &kTypicalP,           &kTopK,          &kPresencePenalty, &kFrequencyPenalty, &kRepetitionPenalty, &kLogitBias, &kSeed,
    &kMinTokens,          &kIgnoreEos,     &kTimings,         &kPriority,         &kMaxTtftSeconds,    &kCacheSalt,
};

}  // namespace rafter::protocols::parameters
