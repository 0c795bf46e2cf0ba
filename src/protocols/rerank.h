// /v1/rerank and /v1/score: how well documents meet a query. Each becomes a sequence of the engine, and its result a number.
// https://jina.ai/reranker/, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "engine/token_stream.h"
#include "protocols/openai_answer.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

enum class RerankEndpoint { kRerank, kScore };
enum class RelevanceMethod { kYesNo, kEmbedding };

struct RerankRequest {
    RerankEndpoint endpoint = RerankEndpoint::kRerank;
    RelevanceMethod method = RelevanceMethod::kEmbedding;
    // Of kYesNo: one for each score. Of kEmbedding: the texts, of which each score compares two.
    std::vector<engine::Request> sequences;
    struct Pair {
        std::size_t first = 0, second = 0;  // of the sequences
    };
    std::vector<Pair> pairs;             // [n_scores]; of kYesNo both are the same
    std::optional<std::string> model;    // as the client calls it
    std::vector<std::string> documents;  // [n_scores], where the answer shows them
    std::optional<std::uint32_t> top_n;
    std::uint64_t n_prompt_tokens = 0;
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    bool timings = true;
    std::vector<std::string> unknown_keys;
    std::vector<std::string> warnings;
};

// body: any JSON value. Fails with kBadInput, as parse_openai_request(). defaults: the limits of a prompt.
[[nodiscard]] Result<RerankRequest> parse_rerank_request(RerankEndpoint endpoint, const nlohmann::json& body,
                                                         const engine::OpenedModel& opened, const OpenAiDefaults& defaults);

// What a sequence brought.
struct RelevanceResult {
    std::vector<float> vector;   // of kEmbedding: normalised
    double yes = 0.0, no = 0.0;  // of kYesNo: log-probabilities
    void take(engine::StreamUpdate&& update);
};
// results: [n_sequences]. A score is from 0 to 1 (kYesNo), or from -1 to 1 (kEmbedding).
[[nodiscard]] std::vector<double> relevance_scores(const RerankRequest& request, std::span<const RelevanceResult> results);
// The body of an answer with status 200. timings: null for none.
[[nodiscard]] nlohmann::ordered_json rerank_answer(const RerankRequest& request, std::span<const double> scores,
                                                   const OpenAiIdentity& identity, const AnswerTimings* timings = nullptr);

}  // namespace rafter::protocols
