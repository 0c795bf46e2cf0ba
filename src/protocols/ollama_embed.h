// /api/embed and the older /api/embeddings: texts become the engine's requests for hidden states, and those become normalised vectors.
// https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "protocols/answer_timings.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

enum class OllamaEmbedEndpoint {
    kEmbed,       // "input": a text or a list of texts
    kEmbeddings,  // "prompt": a text; the older form
};

struct OllamaEmbedRequest {
    OllamaEmbedEndpoint endpoint = OllamaEmbedEndpoint::kEmbed;
    std::vector<engine::Request> sequences;  // one for each text; none: the client only wants the model to be there
    std::optional<std::string> model;        // as the client calls it
    std::optional<std::uint32_t> dimensions;
    std::uint64_t n_prompt_tokens = 0;
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    std::optional<double> keep_alive_seconds;  // as in OllamaRequest
    std::vector<std::string> unknown_keys;
    std::vector<std::string> warnings;
};

// body: any JSON value. Fails with kBadInput, as parse_openai_request(). defaults: the limits of a text.
[[nodiscard]] Result<OllamaEmbedRequest> parse_ollama_embed(OllamaEmbedEndpoint endpoint, const nlohmann::json& body,
                                                            const engine::OpenedModel& opened, const OpenAiDefaults& defaults);

// The body of an answer with status 200. hidden: [n_texts][d_model].
[[nodiscard]] std::string ollama_embed_answer(const OllamaEmbedRequest& request, std::span<const std::vector<float>> hidden,
                                              std::string_view model, const AnswerTimings& timings);

}  // namespace rafter::protocols
