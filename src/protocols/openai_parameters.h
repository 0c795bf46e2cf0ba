// The keys of OpenAI's requests, those of other servers that clients send, and ours. A key is added here and read in the parser of its
// endpoint; a test holds both together.
#pragma once

#include <span>

#include "protocols/parameter.h"

namespace rafter::protocols {

inline constexpr double kMaxWeight = 1e6;  // of temperature, penalties and biases: as engine::validate() has it
inline constexpr double kMaxUint = 4294967295.0;
inline constexpr std::uint32_t kMaxChoices = 2048;  // n times prompts
inline constexpr std::uint32_t kMaxStops = 64;
inline constexpr std::uint32_t kMaxLogprobs = 20;

namespace parameters {

using enum ParameterKind;

inline constexpr Parameter kModel{.name = "model", .kind = kText, .help = "The model's name, as /v1/models lists it."};

// Sampling.
inline constexpr Parameter kTemperature{
    .name = "temperature", .kind = kNumber, .high = kMaxWeight, .standard = "1", .help = "0: always the likeliest token."};
inline constexpr Parameter kTopP{.name = "top_p",
                                 .kind = kNumber,
                                 .high = 1.0,
                                 .standard = "1",
                                 .help = "Only the likeliest tokens that together have at least this probability."};
inline constexpr Parameter kMinP{.name = "min_p",
                                 .kind = kNumber,
                                 .high = 1.0,
                                 .standard = "0",
                                 .help = "Only tokens at least this fraction as likely as the likeliest."};
inline constexpr Parameter kTypicalP{.name = "typical_p",
                                     .kind = kNumber,
                                     .high = 1.0,
                                     .standard = "1",
                                     .help = "Locally typical sampling: tokens of nearly expected surprise, up to this probability."};
inline constexpr Parameter kTopK{.name = "top_k",
                                 .kind = kSchema,
                                 .standard = "0",
                                 .help = "Only the k likeliest tokens; 0 or -1: all.",
                                 .schema = R"({"type": ["integer", "null"], "minimum": -1, "maximum": 4294967295})"};
inline constexpr Parameter kPresencePenalty{.name = "presence_penalty",
                                            .kind = kNumber,
                                            .low = -kMaxWeight,
                                            .high = kMaxWeight,
                                            .standard = "0",
                                            .help = "Subtracted once from the logits of tokens that the answer has already."};
inline constexpr Parameter kFrequencyPenalty{.name = "frequency_penalty",
                                             .kind = kNumber,
                                             .low = -kMaxWeight,
                                             .high = kMaxWeight,
                                             .standard = "0",
                                             .help = "Subtracted from the logits of tokens for each time that the answer has them."};
inline constexpr Parameter kRepetitionPenalty{
    .name = "repetition_penalty",
    .kind = kNumber,
    .low = 1.0 / kMaxWeight,
    .high = kMaxWeight,
    .standard = "1",
    .help = "Divides the positive logits of tokens in prompt and answer, multiplies negative ones."};
inline constexpr Parameter kLogitBias{.name = "logit_bias",
                                      .kind = kSchema,
                                      .help = "Added to the logits of tokens, by their ids.",
                                      .schema = R"({"type": ["object", "null"], "propertyNames": {"pattern": "^[0-9]+$"},
                  "additionalProperties": {"type": "number", "minimum": -1000000, "maximum": 1000000}})"};
inline constexpr Parameter kSeed{
    .name = "seed",
    .kind = kSchema,
    .help = "The same seed gives the same answer, whatever else runs; any 64-bit number.",
    .schema = R"({"type": ["integer", "null"], "minimum": -9223372036854775808, "maximum": 18446744073709551615})"};

// Length.
inline constexpr Parameter kMaxTokens{.name = "max_tokens",
                                      .kind = kWhole,
                                      .low = 1,
                                      .high = kMaxUint,
                                      .help = "Of the answer. Missing: the server's default, or the rest of the context."};
inline constexpr Parameter kMaxTokensOfCompletion{.name = "max_tokens",
                                                  .kind = kWhole,
                                                  .high = kMaxUint,
                                                  .help = "Of the answer; 0 (only the prompt is scored) with echo or prompt_logprobs."};
inline constexpr Parameter kMaxCompletionTokens{
    .name = "max_completion_tokens", .kind = kWhole, .low = 1, .high = kMaxUint, .help = "The newer name of max_tokens."};
inline constexpr Parameter kMinTokens{.name = "min_tokens",
                                      .kind = kWhole,
                                      .high = kMaxUint,
                                      .standard = "0",
                                      .help = "Nothing but max_tokens ends the answer before it has so many tokens."};
inline constexpr Parameter kIgnoreEos{
    .name = "ignore_eos", .kind = kBool, .standard = "false", .help = "End tokens are drawn as others are and end nothing."};
inline constexpr Parameter kStop{.name = "stop",
                                 .kind = kSchema,
                                 .help = "The answer ends before the first of these texts.",
                                 .schema = R"({"anyOf": [{"type": "null"}, {"type": "string", "minLength": 1},
                                              {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1}}]})"};
inline constexpr Parameter kN{
    .name = "n", .kind = kWhole, .low = 1, .high = 128, .standard = "1", .help = "Answers to each prompt, at most 2048 in all."};

// What the answer says.
inline constexpr Parameter kStream{.name = "stream", .kind = kBool, .standard = "false", .help = "Server-sent events as the answer grows."};
inline constexpr Parameter kStreamOptions{
    .name = "stream_options",
    .kind = kSchema,
    .help = "include_usage: the last chunk has the usage.",
    .schema = R"({"type": ["object", "null"], "properties": {"include_usage": {"type": ["boolean", "null"]}}})"};
inline constexpr Parameter kLogprobsOfChat{
    .name = "logprobs", .kind = kBool, .standard = "false", .help = "The log-probability of each token of the answer."};
inline constexpr Parameter kTopLogprobs{.name = "top_logprobs",
                                        .kind = kWhole,
                                        .high = kMaxLogprobs,
                                        .standard = "0",
                                        .help = "And those of the likeliest tokens at each place; with logprobs only."};
inline constexpr Parameter kLogprobs{
    .name = "logprobs", .kind = kWhole, .high = kMaxLogprobs, .help = "The log-probability of each token, and those of so many likeliest."};
inline constexpr Parameter kPromptLogprobs{
    .name = "prompt_logprobs",
    .kind = kWhole,
    .high = kMaxLogprobs,
    .help = "The log-probability of each token of the prompt, and those of so many likeliest; not with stream."};
inline constexpr Parameter kEcho{.name = "echo",
                                 .kind = kSchema,
                                 .standard = "false",
                                 .help = "The prompt stands before the answer, in its text and in its logprobs.",
                                 .schema = R"({"anyOf": [{"type": ["boolean", "null"]}, {"enum": [0, "", [], {}]}]})"};
inline constexpr Parameter kTimings{
    .name = "timings", .kind = kBool, .standard = "true", .help = "The answer says what it took, what was predicted, and what bound it."};

// Who is served first.
inline constexpr double kMaxPriority = 100.0;
inline constexpr Parameter kPriority{.name = "priority",
                                     .kind = kSchema,
                                     .standard = "0",
                                     .help = "The higher first, among the requests of one API key.",
                                     .schema = R"({"type": ["integer", "null"], "minimum": -100, "maximum": 100})"};
inline constexpr Parameter kMaxTtftSeconds{
    .name = "max_ttft_seconds",
    .kind = kNumber,
    .low = 0.001,
    .high = 86'400.0,
    .help = "Refused with status 429 where the first token is predicted to come later than so many seconds after the arrival."};
inline constexpr Parameter kCacheSalt{.name = "cache_salt",
                                      .kind = kText,
                                      .low = 1,
                                      .high = 1024,
                                      .help = "Only requests with the same salt share what is in the prefix cache."};

// Prompts.
inline constexpr Parameter kMessages{
    .name = "messages",
    .kind = kSchema,
    .help =
        "The conversation; contents are texts or lists of text parts. An assistant's message may have tool_calls and reasoning_content; "
        "a message of the role tool has the result of the call that tool_call_id names.",
    .schema = R"({"type": "array", "minItems": 1, "items": {"type": "object", "required": ["role"], "properties": {
                  "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
                  "content": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "object", "required": ["type", "text"],
                      "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]},
                  "reasoning_content": {"type": ["string", "null"]},
                  "tool_call_id": {"type": ["string", "null"]},
                  "tool_calls": {"type": ["array", "null"], "items": {"type": "object", "required": ["id", "function"], "properties": {
                      "id": {"type": "string"}, "type": {"const": "function"}, "function": {"type": "object", "required": ["name"],
                          "properties": {"name": {"type": "string"}, "arguments": {"type": ["string", "object"]}}}}}}}}})",
    .required = true};
inline constexpr Parameter kPrompt{
    .name = "prompt",
    .kind = kSchema,
    .help = "A text or token ids, or a list of such prompts.",
    .schema = R"({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
                  {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"},
                      {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}]}}]})",
    .required = true};
inline constexpr Parameter kAddSpecialTokens{.name = "add_special_tokens",
                                             .kind = kBool,
                                             .help =
                                                 "The tokens that the model expects before a text (BOS). A chat's template writes them "
                                                 "itself, so a chat has none by default; a text has them."};
inline constexpr Parameter kAddGenerationPrompt{.name = "add_generation_prompt",
                                                .kind = kBool,
                                                .standard = "true",
                                                .help = "The prompt ends with what begins an answer of the assistant."};
inline constexpr Parameter kReasoningEffort{.name = "reasoning_effort", .kind = kText, .help = "A variable for the chat template."};
inline constexpr Parameter kChatTemplateKwargs{.name = "chat_template_kwargs",
                                               .kind = kSchema,
                                               .help = "More variables for the chat template; none that it has already.",
                                               .schema = R"({"type": ["object", "null"]})"};

inline constexpr Parameter kEnableThinking{
    .name = "enable_thinking", .kind = kBool, .help = "A variable for the chat template: whether the answer begins with a thought."};

// Functions that the answer may call.
inline constexpr Parameter kTools{
    .name = "tools",
    .kind = kSchema,
    .help = "Functions that the answer may call; parameters are a JSON schema of an object.",
    .schema = R"({"type": ["array", "null"], "maxItems": 512, "items": {"type": "object", "required": ["type", "function"], "properties": {
                  "type": {"const": "function"}, "function": {"type": "object", "required": ["name"], "properties": {
                      "name": {"type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,64}$"}, "description": {"type": ["string", "null"]},
                      "parameters": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}}}}})"};
inline constexpr Parameter kToolChoice{
    .name = "tool_choice",
    .kind = kSchema,
    .standard = R"("auto")",
    .help = "none: the answer is text. required: it is at least one call. A function: it is a call of that one. The last two cannot fail.",
    .schema =
        R"({"anyOf": [{"enum": ["none", "auto", "required", null]}, {"type": "object", "required": ["type", "function"], "properties": {
                  "type": {"const": "function"}, "function": {"type": "object", "required": ["name"],
                      "properties": {"name": {"type": "string"}}}}}]})"};
inline constexpr Parameter kParallelToolCalls{
    .name = "parallel_tool_calls", .kind = kBool, .standard = "true", .help = "The answer may have several calls."};
inline constexpr Parameter kThinkingTokenBudget{
    .name = "thinking_token_budget",
    .kind = kWhole,
    .high = kMaxUint,
    .help =
        "A thought that has so many tokens is ended with a sentence that says so, and the answer follows. With it, the answer begins "
        "with a thought."};

// Read for what they exclude.
inline constexpr Parameter kBestOf{
    .name = "best_of", .kind = kSchema, .standard = "1", .help = "1 only.", .schema = R"({"enum": [1, null]})"};
inline constexpr Parameter kModalities{
    .name = "modalities", .kind = kSchema, .help = "Texts only.", .schema = R"({"enum": [["text"], null]})"};
inline constexpr Parameter kResponseFormat{
    .name = "response_format",
    .kind = kSchema,
    .help =
        "json_object: the answer is a JSON object. json_schema: it is valid by the schema. A keyword that would not be kept to is refused.",
    .schema =
        R"({"type": ["object", "null"], "required": ["type"], "properties": {"type": {"enum": ["text", "json_object", "json_schema", "structural_tag"]},
                  "json_schema": {"type": "object", "required": ["schema"], "properties": {"name": {"type": "string"},
                      "description": {"type": ["string", "null"]}, "schema": {"type": "object"}, "strict": {"type": ["boolean", "null"]}}}}})"};
inline constexpr Parameter kStructuredOutputs{
    .name = "structured_outputs",
    .kind = kSchema,
    .help = "vLLM's form: one of json, json_object, regex, choice, grammar and structural_tag.",
    .schema =
        R"({"type": ["object", "null"], "properties": {"json": {"type": ["object", "string", "null"]}, "json_object": {"type": ["boolean", "null"]},
                  "regex": {"type": ["string", "null"]}, "choice": {"type": ["array", "null"], "items": {"type": "string"}},
                  "grammar": {"type": ["string", "null"]}, "structural_tag": {"type": ["string", "object", "null"]}}})"};
inline constexpr Parameter kGuidedJson{.name = "guided_json",
                                       .kind = kSchema,
                                       .help = "A JSON schema that the answer is valid by.",
                                       .schema = R"({"type": ["object", "string", "null"]})"};
inline constexpr Parameter kJsonSchema{
    .name = "json_schema", .kind = kSchema, .help = "As guided_json.", .schema = R"({"type": ["object", "string", "null"]})"};
inline constexpr Parameter kGuidedRegex{
    .name = "guided_regex", .kind = kText, .help = "A regular expression that the whole answer matches."};
inline constexpr Parameter kGuidedChoice{.name = "guided_choice",
                                         .kind = kSchema,
                                         .help = "Texts of which the answer is one.",
                                         .schema = R"({"type": ["array", "null"], "items": {"type": "string"}})"};
inline constexpr Parameter kGuidedGrammar{
    .name = "guided_grammar",
    .kind = kText,
    .help = "An EBNF grammar of the answer, in the form of llama.cpp's GBNF; its first rule is root."};
inline constexpr Parameter kGrammar{.name = "grammar", .kind = kText, .help = "As guided_grammar."};
// A request has one of these at most.
inline constexpr const Parameter* kOutputForms[] = {&kResponseFormat, &kStructuredOutputs, &kGuidedJson,    &kJsonSchema,
                                                    &kGuidedRegex,    &kGuidedChoice,      &kGuidedGrammar, &kGrammar};

inline constexpr Parameter unsupported(const char* name, const char* help = "Not supported yet.") {
    return {.name = name, .kind = kNotSupported, .help = help};
}
inline constexpr Parameter without_effect(const char* name) {
    return {.name = name, .kind = kNoEffect, .help = "Accepted; changes nothing."};
}

// Keys of OpenAI and of other servers that would change the answer. What learns to serve one takes its row from here.
inline constexpr Parameter kUnsupported[] = {
    unsupported("functions"),
    unsupported("function_call"),
    unsupported("logits_processors"),
    unsupported("audio"),
    unsupported("web_search_options"),
    unsupported("suffix"),
    unsupported("use_beam_search"),
    unsupported("allowed_token_ids"),
    unsupported("chat_template"),
    unsupported("bad_words"),
    unsupported("stop_token_ids"),
    unsupported("include_stop_str_in_output"),
    unsupported("continue_final_message"),
    unsupported("truncate_prompt_tokens"),
};
inline constexpr Parameter kUnsupportedInCompletions[] = {
    unsupported("tools", "Of chats only."),
};
inline constexpr Parameter kWithoutEffect[] = {
    without_effect("user"),       without_effect("metadata"),         without_effect("store"),     without_effect("service_tier"),
    without_effect("prediction"), without_effect("prompt_cache_key"), without_effect("verbosity"), without_effect("safety_identifier"),
};

// All of a request, but for kUnsupported and kWithoutEffect.
inline constexpr const Parameter* kOfBoth[] = {
    &kModel,
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
    &kN,
    &kStream,
    &kStreamOptions,
    &kPromptLogprobs,
    &kTimings,
    &kPriority,
    &kMaxTtftSeconds,
    &kCacheSalt,
    &kAddSpecialTokens,
    &kBestOf,
    &kModalities,
    &kResponseFormat,
    &kStructuredOutputs,
    &kGuidedJson,
    &kJsonSchema,
    &kGuidedRegex,
    &kGuidedChoice,
    &kGuidedGrammar,
    &kGrammar,
    &kEcho,
};
inline constexpr const Parameter* kOfChat[] = {
    &kMessages,        &kMaxTokens,      &kMaxCompletionTokens, &kLogprobsOfChat,     &kTopLogprobs,
    &kReasoningEffort, &kEnableThinking, &kThinkingTokenBudget, &kChatTemplateKwargs, &kAddGenerationPrompt,
    &kTools,           &kToolChoice,     &kParallelToolCalls};
inline constexpr const Parameter* kOfCompletion[] = {&kPrompt, &kMaxTokensOfCompletion, &kLogprobs};

}  // namespace parameters
}  // namespace rafter::protocols
