// The requests of a batch before any of them runs: what they need together, and each ready for the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "apps/batch_file.h"
#include "apps/batch_identity.h"
#include "engine/loading/loaded_model.h"
#include "protocols/openai_request.h"

namespace rafter::apps {

// A line as the engine's requests. Fails on what cannot be served, whatever else runs: a line's answer must not depend on the others.
class BatchParser {
  public:
    struct Options {
        std::uint32_t n_tokens = 0;            // of an answer, where a request says nothing
        std::optional<std::uint32_t> context;  // none: the model's
        protocols::AnswerFormatNames answer_format = {};
    };
    BatchParser(const engine::OpenedModel& opened, const Options& options);

    // value: the line's JSON. prompts: their tokens from an earlier parse of the line, or null.
    using Prompts = std::vector<std::vector<engine::TokenId>>;
    [[nodiscard]] Result<protocols::OpenAiRequest> parse(const BatchLine& line, const nlohmann::json& value, const Prompts* prompts) const;
    // A second time.
    [[nodiscard]] Result<protocols::OpenAiRequest> parse_again(const BatchLine& line, const Prompts& prompts) const;
    // Tokens that a choice may have at most, prompt and answer.
    [[nodiscard]] std::uint32_t room_for(const engine::Request& choice) const;
    // What decides the answer besides the line.
    [[nodiscard]] RequestSettings settings_of(const Result<protocols::OpenAiRequest>& request) const;

  private:
    std::uint32_t n_tokens_;
    const engine::OpenedModel& opened_;
    std::uint32_t context_;
    protocols::AnswerFormatNames answer_format_;
    std::unique_ptr<grammar::GrammarCompiler> grammars_;
};

struct BatchToDo {
    const BatchLine* line = nullptr;  // of the BatchRequests
    BatchParser::Prompts prompts;
    std::uint64_t request_hash = 0;
};
struct BatchRefusal {
    const BatchLine* line = nullptr;
    Error error;
    std::uint64_t request_hash = 0;
};
// Results that an earlier run left for lines of this file.
struct BatchEarlier {
    std::size_t n_done = 0;     // of the same request and model
    std::size_t n_unknown = 0;  // of them: their ids do not say what they answer
    std::size_t n_other_model = 0;
    std::size_t n_other_request = 0;
    std::unordered_set<std::string> replaced;  // custom_ids of the last two
};

// Each prompt is rendered and tokenised once, and its tokens are kept until its turn, when only the line's JSON is read again: a token
// takes about the memory of its text, which is kept too.
class BatchSurvey {
  public:
    // n_together: sequences that run at once. parser outlives this.
    BatchSurvey(const BatchParser& parser, std::uint32_t n_together) : parser_(parser), n_together_(n_together) {}
    void add(const BatchLine& line, const Result<nlohmann::json>& value);
    // After the last line: fills in the lists below with what the results do not have yet of this model. requests outlives this.
    void finish(const BatchRequests& requests, const BatchResults& results, std::uint64_t model_identity);

    std::vector<BatchToDo> to_do;
    std::vector<BatchRefusal> refused;
    BatchEarlier earlier;
    std::set<std::string> unknown_keys;
    std::set<std::string> warnings;  // of prompts
    bool has_chats = false;
    // In tokens, over all lines of the file: also over those that an earlier run answered.
    std::uint32_t longest = 0;
    std::uint64_t sum_of_longest = 0;  // of the n_together longest sequences

  private:
    struct Surveyed {
        BatchParser::Prompts prompts;
        std::uint64_t request_hash = 0;
        std::optional<Error> error;
        std::vector<std::string> unknown_keys;
        std::vector<std::string> warnings;
        bool is_chat = false;
    };

    const BatchParser& parser_;
    std::uint32_t n_together_;
    std::vector<Surveyed> surveyed_;                                                          // [n_lines]
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> longest_;  // n_together at most
};

}  // namespace rafter::apps
