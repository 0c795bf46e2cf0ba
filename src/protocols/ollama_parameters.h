// The keys of Ollama's requests and of their options, and those of ours that make sense there.
// https://github.com/ollama/ollama/blob/main/docs/api.md
#pragma once

#include "protocols/service_parameters.h"

namespace rafter::protocols::parameters {

inline constexpr Parameter kOllamaMessages{
    .name = "messages",
    .kind = kSchema,
    .help =
        "The conversation. Without any the answer says that the model is loaded. An assistant's message may have thinking and "
        "tool_calls; a message of the role tool has the result of a call.",
    .schema = R"({"type": ["array", "null"], "items": {"type": "object", "required": ["role"], "properties": {
                  "role": {"enum": ["system", "developer", "user", "assistant", "tool"]}, "content": {"type": ["string", "null"]},
                  "thinking": {"type": ["string", "null"]}, "images": {"enum": [null, []]}, "tool_name": {"type": ["string", "null"]},
                  "tool_call_id": {"type": ["string", "null"]},
                  "tool_calls": {"type": ["array", "null"], "items": {"type": "object", "required": ["function"], "properties": {
                      "id": {"type": ["string", "null"]}, "function": {"type": "object", "required": ["name"],
                          "properties": {"name": {"type": "string"}, "arguments": {"type": ["object", "null"]}}}}}}}}})"};
inline constexpr Parameter kOllamaPrompt{
    .name = "prompt", .kind = kText, .help = "What to answer. Without it the answer says that the model is loaded."};
inline constexpr Parameter kOllamaSystem{.name = "system", .kind = kText, .help = "A system message before the prompt."};
inline constexpr Parameter kRaw{
    .name = "raw", .kind = kBool, .standard = "false", .help = "The prompt is continued as it is, without the chat template."};
inline constexpr Parameter kOllamaContext{
    .name = "context",
    .kind = kSchema,
    .help = "The tokens of an earlier conversation, as an answer gave them; they come before the prompt.",
    .schema = R"({"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}})"};
inline constexpr Parameter kOllamaStream{
    .name = "stream", .kind = kBool, .standard = "true", .help = "A line of JSON for each part of the answer."};
inline constexpr Parameter kOllamaFormat{.name = "format",
                                         .kind = kSchema,
                                         .help = "json: the answer is JSON. An object: a JSON schema that the answer is valid by.",
                                         .schema = R"({"anyOf": [{"enum": ["json", "", null]}, {"type": "object"}]})"};
inline constexpr Parameter kThink{
    .name = "think",
    .kind = kSchema,
    .help = "Whether the answer begins with a thought, and how long it should be: variables for the chat template.",
    .schema = R"({"anyOf": [{"type": ["boolean", "null"]}, {"enum": ["low", "medium", "high"]}]})"};
inline constexpr Parameter kKeepAlive{.name = "keep_alive",
                                      .kind = kSchema,
                                      .help =
                                          "How long the model stays in memory after its requests, in seconds or as a text (5m, 1h30m); 0: "
                                          "not at all; negative: for ever. It holds until another request says otherwise.",
                                      .schema = R"({"anyOf": [{"type": ["number", "null"]}, {"type": "string", "pattern":
                  "^[+-]?(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|ms|s|m|h))+$|^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)$"}]})"};
inline constexpr Parameter kOllamaOptions{
    .name = "options", .kind = kSchema, .help = "How the answer is chosen and when it ends.", .schema = R"({"type": ["object", "null"]})"};

inline constexpr Parameter kUnsupportedInGenerate[] = {
    unsupported("suffix", "Texts are continued only at their end."),
    unsupported("images", "Texts only."),
    unsupported("template", "The model's own template is used; raw does without one."),
};

inline constexpr const Parameter* kOfOllama[] = {
    &kModel,          &kOllamaStream, &kOllamaFormat,        &kThink,    &kKeepAlive,      &kOllamaOptions,
    &kLogprobsOfChat, &kTopLogprobs,  &kThinkingTokenBudget, &kPriority, &kMaxTtftSeconds, &kCacheSalt};
inline constexpr const Parameter* kOfOllamaChat[] = {&kOllamaMessages, &kTools, &kToolChoice, &kParallelToolCalls};
inline constexpr const Parameter* kOfOllamaGenerate[] = {&kOllamaPrompt, &kOllamaSystem, &kRaw, &kOllamaContext};

// Of "options". Those of OpenAI's that have the same name there have their rows here.
inline constexpr Parameter kNumPredict{.name = "num_predict",
                                       .kind = kSchema,
                                       .standard = "-1",
                                       .help = "Tokens of the answer; -1, -2 or 0: the rest of the context.",
                                       .schema = R"({"type": ["integer", "null"], "minimum": -2, "maximum": 4294967295})"};
inline constexpr Parameter kRepeatPenalty{.name = "repeat_penalty",
                                          .kind = kNumber,
                                          .low = 1.0 / kMaxWeight,
                                          .high = kMaxWeight,
                                          .standard = "1.1",
                                          .help = "Divides the positive logits of tokens seen, multiplies negative ones."};
inline constexpr Parameter kRepeatLastN{.name = "repeat_last_n",
                                        .kind = kSchema,
                                        .standard = "64",
                                        .help = "Penalties see only so many tokens; 0: no penalties; -1: all.",
                                        .schema = R"({"type": ["integer", "null"], "minimum": -1, "maximum": 4294967295})"};
inline constexpr Parameter kNumCtx{
    .name = "num_ctx", .kind = kWhole, .high = kMaxUint, .help = "Accepted; the server's own context holds. A larger one is warned of."};
inline constexpr const Parameter* kOfOllamaOptions[] = {
    &kNumPredict,      &kTemperature,      &kTopK,  &kTopP, &kMinP, &kTypicalP, &kSeed, &kStop, &kRepeatPenalty, &kRepeatLastN,
    &kPresencePenalty, &kFrequencyPenalty, &kNumCtx};

// /api/embed and its older form.
inline constexpr Parameter kEmbedInput{
    .name = "input",
    .kind = kSchema,
    .help = "A text or a list of texts, at most 2048. Without any the answer says that the model is loaded.",
    .schema = R"({"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "string"}}]})"};
inline constexpr Parameter kEmbedPrompt{.name = "prompt", .kind = kText, .help = "A text."};
inline constexpr Parameter kTruncate{
    .name = "truncate", .kind = kBool, .standard = "true", .help = "Texts longer than the context are cut; false: they are refused."};
inline constexpr const Parameter* kOfOllamaEmbed[] = {&kModel,     &kEmbedInput,    &kTruncate, &kDimensions,     &kPooling,
                                                      &kKeepAlive, &kOllamaOptions, &kPriority, &kMaxTtftSeconds, &kCacheSalt};
inline constexpr const Parameter* kOfOllamaEmbeddings[] = {&kModel,    &kEmbedPrompt,    &kKeepAlive, &kOllamaOptions,
                                                           &kPriority, &kMaxTtftSeconds, &kCacheSalt};

// /api/show.
inline constexpr Parameter kShowName{.name = "name", .kind = kText, .help = "The older name of model."};
inline constexpr Parameter kVerbose{.name = "verbose", .kind = kBool, .standard = "false", .help = "With lists, such as the vocabulary."};
inline constexpr const Parameter* kOfOllamaShow[] = {&kModel, &kShowName, &kVerbose};

}  // namespace rafter::protocols::parameters
