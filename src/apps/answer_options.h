// How long answers may be and how their tokens are chosen: the options of `run`, which a chat changes with /set, and what counts where
// they say nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/options/verb.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"

namespace rafter::apps {

// What is not given has no value.
struct AnswerOptions {
    std::optional<std::uint32_t> n_tokens;
    std::vector<std::string> stop;
    std::uint32_t min_tokens = 0;
    bool ignore_eos = false;
    std::vector<std::string> logit_bias;  // "ID=VALUE"
    std::optional<double> repeat_penalty;
    double frequency_penalty = 0.0;
    double presence_penalty = 0.0;
    std::optional<std::uint32_t> repeat_last_n;
    std::optional<double> temperature;
    std::optional<std::uint32_t> top_k;
    std::optional<double> top_p;
    std::optional<double> min_p;
    double typical_p = 1.0;
    std::optional<std::uint64_t> seed;
};

void add_answer_options(OptionSet& options, AnswerOptions& answer);

// How a model's authors would have it sampled.
struct SamplingDefaults {
    engine::SamplingOptions sampling;   // temperature, top-k, top-p, min-p, repeat penalty and its window
    std::string source;                 // "the model file", "generation_config.json", "rafter's defaults"
    std::vector<std::string> warnings;  // values that are none
};
// The file's general.sampling.* keys; else generation_config.json beside it; else temperature 0.8, top-p 0.95, min-p 0.05.
[[nodiscard]] SamplingDefaults sampling_defaults(const files::TensorSource& file);

// A request without its prompt. defaults: what counts where the options say nothing. seed: where they give none. max_tokens is n_tokens or
// otherwise.
[[nodiscard]] Result<engine::Request> request_of(const AnswerOptions& options, const engine::SamplingOptions& defaults, std::uint64_t seed,
                                                 std::uint32_t max_tokens);

// "temperature 0.8, top-p 0.95, min-p 0.05, seed 42"; "the likeliest token each time".
[[nodiscard]] std::string sampling_text(const engine::SamplingOptions& sampling);

}  // namespace rafter::apps
