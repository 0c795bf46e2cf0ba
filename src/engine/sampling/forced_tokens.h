// Tokens that an answer has at some place whatever the logits say: to measure on a given text, or to end a model's reasoning when its
// budget is used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace rafter::engine {

using text::TokenId;

struct ForcedTokens {
    std::uint32_t after = 0;  // so many tokens of the answer; later where other forced tokens are not yet over
    std::vector<TokenId> tokens = {};
    // Nothing is forced where the answer has this token by then, or this text, however its tokens part it. With a text, the tokens wait
    // for the end of a character that the answer has begun, as a mask would allow nothing else there.
    std::optional<TokenId> unless = std::nullopt;
    std::string unless_text = {};
};

// Follows a sequence's answer as its logits stages do.
class ForcedAnswer {
  public:
    ForcedAnswer() = default;
    // In the order of their places; of equal places, as given. tokenizer: outlives this; needed where there is an `unless_text`.
    explicit ForcedAnswer(std::vector<ForcedTokens> runs, const text::Tokenizer* tokenizer = nullptr);

    // What the next token must be; none: what the logits say.
    [[nodiscard]] std::optional<TokenId> next() const;
    void accept(TokenId token);
    void rollback(std::size_t n);
    // These come next, behind what is being forced or is due. Not to be rolled back beyond.
    void add(std::vector<TokenId> tokens);

    // What is forced from the answer's beginning on.
    [[nodiscard]] std::span<const TokenId> from_start() const {
        return runs_.empty() || runs_[0].forced.after > 0 ? std::span<const TokenId>() : runs_[0].forced.tokens;
    }

  private:
    struct Text {
        std::uint32_t n_matched = 0;  // bytes of unless_text at the end of the answer
        std::uint32_t n_missing = 0;  // bytes that its last character still needs
    };
    struct Run {
        ForcedTokens forced;
        std::optional<std::uint32_t> unless_at = std::nullopt;  // place in the answer of what makes it needless
        std::vector<std::uint32_t> shorter = {};                // of each beginning of unless_text: the longest other one that ends it
        std::vector<Text> texts = {};                           // of unless_text, after each token of the answer
    };
    struct Place {
        std::uint32_t run = 0;     // the current or next one
        std::uint32_t offset = 0;  // tokens of it that the answer has
    };
    struct Change {
        std::uint32_t n_answer;  // before the token that changed it
        Place before;
    };
    [[nodiscard]] Place skip_needless(Place place) const;
    [[nodiscard]] static bool completes_text(Run& run, std::string_view piece);

    const text::Tokenizer* tokenizer_ = nullptr;
    std::vector<Run> runs_;
    Place place_;
    std::vector<Change> changes_;  // for rollback: one a forced token
    std::uint32_t n_answer_ = 0;
};

}  // namespace rafter::engine
