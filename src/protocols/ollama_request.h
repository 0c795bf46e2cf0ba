// Ollama's requests as the engine's: the bodies of POSTs to /api/chat and /api/generate. What an answer cannot have is refused by name;
// keys and options that nothing here knows are left to the caller. https://github.com/ollama/ollama/blob/main/docs/api.md
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

enum class OllamaEndpoint { kChat, kGenerate };

// A request that only wants the model to be there is answered without the engine.
enum class OllamaPurpose {
    kAnswer,
    kLoad,
    kUnload,  // with "keep_alive": 0
};

struct OllamaRequest {
    OllamaEndpoint endpoint = OllamaEndpoint::kChat;
    OllamaPurpose purpose = OllamaPurpose::kAnswer;
    engine::Request sequence;          // of kAnswer
    std::optional<std::string> model;  // as the client calls it
    bool stream = true;
    std::uint64_t n_prompt_tokens = 0;
    std::uint32_t n_system_tokens = 0;         // of them, before the conversation
    std::optional<std::uint32_t> n_logprobs;   // that the answer shows; none: no log-probabilities
    bool with_context = false;                 // the answer ends with all tokens of the conversation
    std::shared_ptr<const AnswerRules> rules;  // how the answer's text is parted; null: it is the answer
    std::optional<grammar::Grammar> grammar;   // what the answer must keep to
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    std::optional<double> keep_alive_seconds;  // that the model is to stay after its requests; infinity: for ever; none: as before
    std::vector<std::string> unknown_keys;     // of the body and of its options
    std::vector<std::string> warnings;
};

// body: any JSON value. Fails with kBadInput, as parse_openai_request(). defaults: seed, limits, order of keys and parsers; a missing
// option has Ollama's default.
[[nodiscard]] Result<OllamaRequest> parse_ollama_request(OllamaEndpoint endpoint, const nlohmann::json& body,
                                                         const engine::OpenedModel& opened, const OpenAiDefaults& defaults);

// True for a request of kUnload, which needs no model. body: of a POST to the endpoint, whatever it is.
[[nodiscard]] bool asks_to_unload(OllamaEndpoint endpoint, const nlohmann::json& body);

}  // namespace rafter::protocols
