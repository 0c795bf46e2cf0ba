// OpenAI's requests to /v1/responses as the engine's. Stateless: the input is the whole conversation, and what would need a memory on the
// server is refused by name.
// https://platform.openai.com/docs/api-reference/responses/create
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/loading/loaded_model.h"
#include "engine/request.h"
#include "protocols/openai_request.h"

namespace rafter::protocols {

struct ResponsesRequest {
    engine::Request sequence;
    std::optional<std::string> model;  // as the client calls it
    std::uint64_t n_prompt_tokens = 0;
    std::uint32_t n_system_tokens = 0;  // of them, before the conversation
    bool stream = false;
    bool ignore_eos = false;
    std::optional<std::uint32_t> n_logprobs;  // that the answer shows; none: no log-probabilities
    int priority = 0;
    std::optional<double> max_ttft_seconds;
    bool timings = true;
    // What the answer repeats.
    std::optional<std::string> instructions;
    std::optional<std::uint32_t> max_output_tokens;
    std::optional<std::string> reasoning_effort;
    std::uint32_t top_logprobs = 0;
    nlohmann::json text_format = {{"type", "text"}};
    nlohmann::ordered_json metadata = nlohmann::ordered_json::object();

    nlohmann::json tools = nlohmann::json::array();
    nlohmann::json tool_choice = "auto";
    bool parallel_tool_calls = true;

    std::shared_ptr<const AnswerRules> rules;  // how the answer's text is parted; null: it is the answer
    std::optional<grammar::Grammar> grammar;   // what the answer must keep to
    std::vector<std::string> unknown_keys;
    std::vector<std::string> warnings;
};

// body: any JSON value. Fails with kBadInput, as parse_openai_request().
[[nodiscard]] Result<ResponsesRequest> parse_responses_request(const nlohmann::json& body, const engine::OpenedModel& opened,
                                                               const OpenAiDefaults& defaults);

}  // namespace rafter::protocols
