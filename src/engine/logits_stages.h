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

class LogitBias {
  public:
    explicit LogitBias(std::vector<std::pair<TokenId, float>> bias) : bias_(std::move(bias)) {}
    void apply(std::span<float> logits) const;
    void accept(TokenId /*token*/) {}
    void rollback(std::size_t /*n*/) {}

  private:
    std::vector<std::pair<TokenId, float>> bias_;
};

// Repeat, frequency and presence penalties; touches only tokens that were seen.
class Penalties {
  public:
    struct Strengths {
        float repeat, frequency, presence;
    };
    Penalties(Strengths strengths, std::span<const TokenId> prompt);
    void apply(std::span<float> logits) const;
    void accept(TokenId token);
    void rollback(std::size_t n);

  private:
    struct Count {
        bool in_prompt = false;
        std::uint32_t n_answer = 0;
    };
    Strengths strengths_;
    std::unordered_map<TokenId, Count> seen_;
    std::vector<TokenId> answer_;
};

using LogitsStage = std::variant<LogitBias, Penalties>;

// Those stages that these options need: none for plain sampling.
[[nodiscard]] std::vector<LogitsStage> make_stages(const SamplingOptions& options, std::span<const TokenId> prompt);

}  // namespace rafter::engine
