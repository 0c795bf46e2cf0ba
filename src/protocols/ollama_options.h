// "options" of Ollama's requests, and what else all of its endpoints say in the same way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "base/result.h"
#include "engine/request.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

struct OllamaOptions {
    engine::SamplingOptions sampling;
    std::vector<std::string> stop;
    std::optional<std::uint32_t> max_tokens;  // none: the rest of the context
    std::vector<std::string> unknown_keys;
    std::vector<std::string> warnings;
};
// Missing ones have Ollama's defaults: temperature 0.8, top_k 40, top_p 0.9, repeat_penalty 1.1 over the last 64 tokens.
[[nodiscard]] Result<OllamaOptions> read_ollama_options(const JsonReader& body, std::size_t n_vocab, const OpenAiDefaults& defaults);

// "keep_alive": seconds that the model is to stay in memory after its requests; infinity: for ever. None: the request does not say.
[[nodiscard]] Result<std::optional<double>> read_keep_alive(const JsonReader& body);

}  // namespace rafter::protocols
