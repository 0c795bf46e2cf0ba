// The keys of embeddings and of the endpoints that compute nothing: /tokenize, /detokenize, /apply-template.
#pragma once

#include "protocols/openai_parameters.h"

namespace rafter::protocols::parameters {

// Embeddings.
inline constexpr Parameter kEmbeddingsInput{.name = "input",
                                            .kind = kSchema,
                                            .help = "A text or token ids, or a list of such inputs, at most 2048.",
                                            .schema = kPrompt.schema,
                                            .required = true};
inline constexpr Parameter kEncodingFormat{.name = "encoding_format",
                                           .kind = kSchema,
                                           .standard = "\"float\"",
                                           .help = "base64: of the floats' bytes, the lowest first.",
                                           .schema = R"({"enum": ["float", "base64", null]})"};
inline constexpr Parameter kDimensions{.name = "dimensions",
                                       .kind = kWhole,
                                       .low = 1,
                                       .high = kMaxUint,
                                       .help = "Only the first so many, normalised again; at most the model's."};
inline constexpr Parameter kPooling{
    .name = "pooling",
    .kind = kSchema,
    .help = "The mean over all tokens, or the last token. Missing: as the model file says, or else the mean.",
    .schema = R"({"enum": ["mean", "last", null]})"};
inline constexpr Parameter kPrefix{.name = "prefix",
                                   .kind = kText,
                                   .help = "Comes before each text: the instruction that the model was trained with, such as \"query: \"."};
inline constexpr Parameter kUserOfEmbeddings = without_effect("user");
inline constexpr const Parameter* kOfEmbeddings[] = {&kEmbeddingsInput,  &kModel,   &kEncodingFormat, &kDimensions,     &kPooling,
                                                     &kUserOfEmbeddings, &kTimings, &kPriority,       &kMaxTtftSeconds, &kCacheSalt,
                                                     &kAddSpecialTokens, &kPrefix};

// /tokenize: as vLLM has it (prompt or messages) and as llama-server has it (content).
inline constexpr Parameter kTokenizePrompt{.name = "prompt", .kind = kText, .help = "A text (vLLM's form)."};
inline constexpr Parameter kTokenizeMessages{
    .name = "messages", .kind = kSchema, .help = "Or a conversation, which goes through the chat template.", .schema = kMessages.schema};
inline constexpr Parameter kContent{.name = "content", .kind = kText, .help = "Or a text in llama-server's form."};
inline constexpr Parameter kReturnTokenStrs{
    .name = "return_token_strs", .kind = kBool, .standard = "false", .help = "With the tokens' texts, in vLLM's form."};
inline constexpr Parameter kAddSpecial{
    .name = "add_special", .kind = kBool, .standard = "false", .help = "As add_special_tokens, for llama-server's form."};
inline constexpr Parameter kParseSpecial{.name = "parse_special",
                                         .kind = kBool,
                                         .standard = "true",
                                         .help = "Texts of special tokens become those tokens, in llama-server's form."};
inline constexpr Parameter kWithPieces{
    .name = "with_pieces", .kind = kBool, .standard = "false", .help = "With the tokens' texts, in llama-server's form."};
inline constexpr const Parameter* kOfTokenize[] = {
    &kModel,      &kTokenizePrompt,   &kTokenizeMessages, &kContent,        &kReturnTokenStrs,    &kAddSpecial,          &kParseSpecial,
    &kWithPieces, &kAddSpecialTokens, &kReasoningEffort,  &kEnableThinking, &kChatTemplateKwargs, &kAddGenerationPrompt, &kTools,
    &kToolChoice, &kParallelToolCalls};
inline constexpr Parameter kTokens{.name = "tokens",
                                   .kind = kSchema,
                                   .help = "Token ids.",
                                   .schema = R"({"type": "array", "items": {"type": "integer", "minimum": 0}})",
                                   .required = true};
inline constexpr const Parameter* kOfDetokenize[] = {&kModel, &kTokens};
inline constexpr const Parameter* kOfApplyTemplate[] = {&kModel,          &kMessages,           &kReasoningEffort,
                                                        &kEnableThinking, &kChatTemplateKwargs, &kAddGenerationPrompt,
                                                        &kTools,          &kToolChoice,         &kParallelToolCalls};

}  // namespace rafter::protocols::parameters
