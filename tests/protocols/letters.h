// What tests of answers share: a tokenizer of letters with an end token, and tokens with log-probabilities.
#pragma once

#include "engine/token_stream.h"
#include "tests/engine/fake_model.h"

namespace rafter::protocols::tests {

// As FakeTokenizer, with an end token.
class Letters : public engine::tests::FakeTokenizer {
  public:
    Letters() { special_.end_of_generation = {kEnd}; }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }

  private:
    text::SpecialIds special_;
};

inline engine::GeneratedToken token(engine::TokenId id, double logprob = -0.5) {
    return {.id = id, .logprobs = engine::TokenLogprobs{.logprob = logprob, .top = {{id, logprob}, {25, -3.0}}}};
}

}  // namespace rafter::protocols::tests
