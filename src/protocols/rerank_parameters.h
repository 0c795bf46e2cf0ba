// The keys of /v1/rerank (Jina's, Cohere's and vLLM's) and of /v1/score (vLLM's).
#pragma once

#include "protocols/service_parameters.h"

namespace rafter::protocols::parameters {

inline constexpr Parameter kQuery{.name = "query", .kind = kText, .help = "What the documents are to be about.", .required = true};
inline constexpr Parameter kDocuments{
    .name = "documents",
    .kind = kSchema,
    .help = "Texts, or objects with a text; at most 2048.",
    .schema = R"({"type": "array", "minItems": 1, "maxItems": 2048, "items": {"anyOf": [{"type": "string"},
                  {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}]}})",
    .required = true};
inline constexpr Parameter kTopN{
    .name = "top_n", .kind = kWhole, .low = 1, .high = kMaxUint, .help = "Only so many of the results. Missing: all."};
inline constexpr Parameter kReturnDocuments{
    .name = "return_documents", .kind = kBool, .standard = "false", .help = "Each result has its document."};
inline constexpr Parameter kText1{
    .name = "text_1",
    .kind = kSchema,
    .help = "A text that is compared with each of text_2, or as many texts as text_2 has.",
    .schema = R"({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string"}}]})",
    .required = true};
inline constexpr Parameter kText2{
    .name = "text_2", .kind = kSchema, .help = "A text or a list of texts.", .schema = kText1.schema, .required = true};
inline constexpr Parameter kMethod{
    .name = "method",
    .kind = kSchema,
    .standard = "\"auto\"",
    .help =
        "yes_no: the probability of \"yes\" against \"no\" as the answer to whether the document meets the query. embedding: the cosine of "
        "both texts' vectors. auto: yes_no where the model is a reranker.",
    .schema = R"({"anyOf": [{"enum": ["auto", "yes_no", "embedding", null]}]})"};
inline constexpr Parameter kInstruction{
    .name = "instruction", .kind = kText, .help = "What makes a document fit, for yes_no: one sentence in the prompt."};
inline constexpr Parameter kQueryPrefix{.name = "query_prefix", .kind = kText, .help = "Comes before the query, for embedding."};
inline constexpr Parameter kDocumentPrefix{.name = "document_prefix", .kind = kText, .help = "Comes before each document, for embedding."};

inline constexpr const Parameter* kOfRelevance[] = {&kModel,   &kMethod,   &kInstruction,    &kQueryPrefix, &kDocumentPrefix,  &kPooling,
                                                    &kTimings, &kPriority, &kMaxTtftSeconds, &kCacheSalt,   &kUserOfEmbeddings};
inline constexpr const Parameter* kOfRerank[] = {&kQuery, &kDocuments, &kTopN, &kReturnDocuments};
inline constexpr const Parameter* kOfScore[] = {&kText1, &kText2};

}  // namespace rafter::protocols::parameters
