// What changes the logits before a token is chosen, as a list of stages. A stage follows the sequence token by token: accept() moves it on,
// rollback() takes tokens back, so that stages stay right when drafts are rejected. To add one: a struct with these three functions and
// its place in LogitsStage; the list's order is the order of application.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/request.h"

namespace rafter::engine {

// Forbids the end tokens until the answer has min_tokens tokens.
class NoEarlyEnd {
  public:
    NoEarlyEnd(std::vector<TokenId> end_tokens, std::uint32_t min_tokens) : end_tokens_(std::move(end_tokens)), min_tokens_(min_tokens) {}
    void apply(std::span<float> logits) const;
    void accept(TokenId /*token*/) { ++n_answer_; }
    void rollback(std::size_t n);

  private:
    std::vector<TokenId> end_tokens_;
    std::size_t min_tokens_;
    std::size_t n_answer_ = 0;
};

class LogitBias {
  public:
    explicit LogitBias(std::vector<std::pair<TokenId, float>> bias) : bias_(std::move(bias)) {}
    void apply(std::span<float> logits) const;
    void accept(TokenId /*token*/) {}
    void rollback(std::size_t /*n*/) {}

  private:
    std::vector<std::pair<TokenId, float>> bias_;
};

// Repeat, frequency and presence penalties; touches only tokens that were seen. The window is the last tokens of prompt and answer that
// count.
class Penalties {
  public:
    struct Strengths {
        float repeat, frequency, presence;
    };
    static constexpr std::size_t kWholeText = static_cast<std::size_t>(-1);
    Penalties(Strengths strengths, std::span<const TokenId> prompt, std::size_t window = kWholeText);
    void apply(std::span<float> logits) const;
    void accept(TokenId token);
    void rollback(std::size_t n);

  private:
    struct Count {  // in the window
        std::uint32_t n_prompt = 0;
        std::uint32_t n_answer = 0;
    };
    // The token at this position of prompt and answer comes into the window, or leaves it.
    void enter(std::size_t position);
    void leave(std::size_t position);
    [[nodiscard]] bool counts(std::size_t position) const { return position >= n_prompt_ || strengths_.repeat != 1.0F; }

    Strengths strengths_;
    std::size_t window_;
    std::size_t n_prompt_;
    std::vector<TokenId> tokens_;  // prompt and answer
    std::unordered_map<TokenId, Count> seen_;
};

using LogitsStage = std::variant<NoEarlyEnd, LogitBias, Penalties>;

// Those stages that the request's options need: none for plain sampling.
[[nodiscard]] std::vector<LogitsStage> make_stages(const Request& request);

}  // namespace rafter::engine
