// The requests of a batch before any of them runs: what they need together, and each ready for the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "apps/batch_file.h"
#include "engine/loading/loaded_model.h"
#include "protocols/openai_request.h"

namespace rafter::apps {

// A line as the engine's requests. Fails on what cannot be served, whatever else runs: a line's answer must not depend on the others.
class BatchParser {
  public:
    struct Options {
        std::uint32_t n_tokens = 0;            // of an answer, where a request says nothing
        std::optional<std::uint32_t> context;  // none: the model's
    };
    BatchParser(const engine::OpenedModel& opened, const Options& options);

    [[nodiscard]] Result<protocols::OpenAiRequest> parse(const BatchLine& line) const;
    // The same of a line whose JSON is parsed already.
    [[nodiscard]] Result<protocols::OpenAiRequest> parse(const BatchLine& line, const nlohmann::json& value) const;
    // Tokens that a choice may have at most, prompt and answer.
    [[nodiscard]] std::uint32_t room_for(const engine::Request& choice) const;

  private:
    std::uint32_t n_tokens_;
    const engine::OpenedModel& opened_;
    std::uint32_t context_;
};

struct BatchToDo {
    const BatchLine* line = nullptr;                  // of the BatchRequests
    std::optional<protocols::OpenAiRequest> request;  // none: its turn parses the line again
};
struct BatchRefusal {
    const BatchLine* line = nullptr;
    Error error;
};

// Each line is parsed, rendered and tokenised once, and the requests are kept until their turn. Once they take kMaxKeptBytes, those of
// further lines are not kept: they are parsed a second time, so that a file of any size needs little more memory than its own text.
class BatchSurvey {
  public:
    static constexpr std::size_t kMaxKeptBytes = std::size_t{64} << 20U;

    // n_together: sequences that run at once. parser outlives this.
    BatchSurvey(const BatchParser& parser, std::uint32_t n_together) : parser_(parser), n_together_(n_together) {}
    void add(const BatchLine& line, const nlohmann::json& value);
    // After the last line: fills in the lists below with what the results do not have yet. requests outlives this.
    void finish(const BatchRequests& requests, const BatchResults& results);

    std::vector<BatchToDo> to_do;
    std::vector<BatchRefusal> refused;
    std::set<std::string> unknown_keys;
    std::set<std::string> warnings;  // of prompts
    bool has_chats = false;
    // In tokens, over all lines of the file: also over those that an earlier run answered.
    std::uint32_t longest = 0;
    std::uint64_t sum_of_longest = 0;  // of the n_together longest sequences

  private:
    struct Surveyed {
        std::optional<protocols::OpenAiRequest> request;
        std::optional<Error> error;
        std::vector<std::string> unknown_keys;
        std::vector<std::string> warnings;
        bool is_chat = false;
    };

    const BatchParser& parser_;
    std::uint32_t n_together_;
    std::vector<Surveyed> surveyed_;  // [n_lines]
    std::size_t n_kept_bytes_ = 0;
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> longest_;  // n_together at most
};

}  // namespace rafter::apps
