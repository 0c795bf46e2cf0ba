// /v1/embeddings: texts or token ids become the engine's requests for hidden states, and those become normalised vectors.
// https://platform.openai.com/docs/api-reference/embeddings
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

enum class Pooling { kMean, kLast };  // of the hidden states of an input's tokens

struct EmbeddingsRequest {
    std::vector<engine::Request> sequences;  // one for each input
    std::optional<std::string> model;        // as the client calls it
    Pooling pooling = Pooling::kMean;
    std::optional<std::uint32_t> dimensions;  // the first so many, normalised again
    bool base64 = false;                      // of the floats' bytes, the lowest first
    std::uint64_t n_prompt_tokens = 0;
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    bool timings = true;
    std::vector<std::string> unknown_keys;
    std::vector<std::string> warnings;
};

// That the model file says, or else the mean.
[[nodiscard]] Pooling file_pooling(const engine::OpenedModel& opened);
// "pooling", or what the file says.
[[nodiscard]] Result<Pooling> read_pooling(const JsonReader& body, const engine::OpenedModel& opened);
// "dimensions", at most d_model.
[[nodiscard]] Result<std::optional<std::uint32_t>> read_dimensions(const JsonReader& body, std::uint32_t d_model);
// Of an input that is still to get its prompt.
[[nodiscard]] engine::Request embedding_sequence(Pooling pooling);

// body: any JSON value. Fails with kBadInput, as parse_openai_request(). Without "pooling" the model file's own counts, or else the mean.
// defaults: the limits of a prompt.
[[nodiscard]] Result<EmbeddingsRequest> parse_embeddings_request(const nlohmann::json& body, const engine::OpenedModel& opened,
                                                                 const OpenAiDefaults& defaults);

// Of length 1, whatever the hidden state's length is; zeros where that has none.
[[nodiscard]] std::vector<float> normalized(std::span<const float> hidden, std::optional<std::uint32_t> dimensions);

// The body of an answer with status 200. hidden: [n_inputs][d_model], as StreamUpdate::embedding brought them. timings: an object, or "".
// It is text, as each number has only the digits that a float needs.
[[nodiscard]] std::string embeddings_answer(const EmbeddingsRequest& request, std::span<const std::vector<float>> hidden,
                                            std::string_view model, std::string_view timings = "");

// The tokens of one input, with the end token where the model expects one behind a text. where: for messages.
[[nodiscard]] Result<std::vector<engine::TokenId>> tokens_to_embed(const nlohmann::json& input, const engine::OpenedModel& opened,
                                                                   const OpenAiDefaults& defaults, const std::string& where,
                                                                   bool add_special_tokens = true);

// As a list of JSON, each number with only the digits that a float needs.
void append_vector(std::string& text, std::span<const float> vector);
[[nodiscard]] std::string to_base64(std::span<const unsigned char> bytes);

}  // namespace rafter::protocols
