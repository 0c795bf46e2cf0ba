// A model that says "yes" or "no" to whether a document meets a query, as Qwen3-Reranker does.
// https://huggingface.co/Qwen/Qwen3-Reranker-0.6B
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"

namespace rafter::protocols {

struct Reranker {
    engine::TokenId yes = 0, no = 0;
    std::string prompt;  // with {instruction}, {query} and {document}
};

// Whether the file says that it is one: by its pooling type, its template for reranking, or "rerank" in its name.
[[nodiscard]] bool is_reranker(const engine::OpenedModel& opened);
// With the file's template for reranking, or else Qwen3-Reranker's. Any model may be asked so. Fails where the vocabulary has no "yes" or
// "no" of one token.
[[nodiscard]] Result<Reranker> reranker_of(const engine::OpenedModel& opened);

inline constexpr std::string_view kStandardInstruction = "Given a web search query, retrieve relevant passages that answer the query";
struct RerankPair {
    std::string_view instruction = kStandardInstruction;
    std::string_view query, document;
};
[[nodiscard]] std::string rerank_prompt(const Reranker& reranker, const RerankPair& pair);

// A request whose one token brings the log-probabilities of "yes" and "no", in this order; without a prompt.
[[nodiscard]] engine::Request yes_no_sequence(const Reranker& reranker);
// The probability of "yes" where only "yes" and "no" may come.
[[nodiscard]] double yes_probability(double yes_logprob, double no_logprob);

}  // namespace rafter::protocols
