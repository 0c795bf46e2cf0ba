// What the engine brings of one answer, as the parts that clients see, with the tokens that thoughts took.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/token_stream.h"
#include "protocols/answers/answer_parser.h"
#include "protocols/openai_logprobs.h"
#include "text/tokenizer.h"

namespace rafter::protocols {

class AnswerReader {
  public:
    // rules: null where the text is the answer. tokenizer outlives this.
    AnswerReader(std::shared_ptr<const AnswerRules> rules, const text::Tokenizer& tokenizer, CallDelivery delivery = CallDelivery::kWhole);

    // What the update adds; with its finish, the rest.
    [[nodiscard]] AnswerEvents take(const engine::StreamUpdate& update);
    // Whole ones.
    [[nodiscard]] bool has_calls() const { return has_calls_; }
    // Of the tokens so far, those of thoughts and their marks. A token counts where it begins.
    [[nodiscard]] std::uint64_t n_reasoning_tokens() const;
    // "tool_calls" where an answer with calls ended by itself.
    [[nodiscard]] const char* finish_reason(engine::FinishReason reason) const;

  private:
    std::shared_ptr<const AnswerRules> rules_;
    const text::Tokenizer* tokenizer_;
    std::optional<AnswerParser> parser_;
    TokenOffsets offsets_;
    std::vector<std::size_t> begins_;  // of the tokens, in characters of the text
    std::size_t n_bytes_ = 0, n_characters_ = 0, n_thought_characters_ = 0;
    bool has_calls_ = false;
};

// An answer's parts, each joined.
struct PartedAnswer {
    std::string reasoning;
    std::string content;
    std::vector<WrittenCall> calls;

    void add(const AnswerEvents& events);
};

}  // namespace rafter::protocols
