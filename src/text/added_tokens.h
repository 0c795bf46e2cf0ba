// The tokens that are found in text as they stand, before anything else: control tokens in what templates write, and user-defined ones.
#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/trie.h"
#include "text/vocabulary.h"

namespace rafter::text {

// Keys of this program's own: the ids of added tokens that swallow the white space before or behind them. GGUF has no keys for that.
inline constexpr std::string_view kLstripIdsKey = "rafter.tokenizer.lstrip_token_ids";
inline constexpr std::string_view kRstripIdsKey = "rafter.tokenizer.rstrip_token_ids";
// This program's own as well, beside tokenizer.ggml.add_space_prefix true: "first" or "always". A space goes before the text only, or
// before each stretch between added tokens, but only where no space is there already.
inline constexpr std::string_view kSpacePrefixKey = "rafter.tokenizer.space_prefix";
// Where a file does not say which added tokens swallow white space: what llama.cpp goes by.
[[nodiscard]] bool swallows_white_space_by_name(std::string_view model_name);  // Phi-3 does, behind its added tokens
[[nodiscard]] bool is_swallowing_by_name(std::string_view token_text);         // but for some

// At each place the longest token that starts there is taken; then the search goes on behind it.
class AddedTokens {
  public:
    // White space (Unicode's) that a token swallows.
    struct Strip {
        bool left = false;
        bool right = false;
    };

    AddedTokens() = default;
    explicit AddedTokens(const Vocabulary& vocabulary);
    // Only for tokens that were added.
    void set_strip(TokenId id, Strip strip);

    // Calls on_text(std::string_view) for each non-empty stretch of ordinary text and on_token(TokenId) for each token, in order.
    template <typename OnText, typename OnToken>
    void split(std::string_view text, SpecialTokens special, const OnText& on_text, const OnToken& on_token) const;

  private:
    struct Found {
        TokenId id;
        std::size_t end;
    };
    [[nodiscard]] bool may_start(unsigned char byte) const { return tokens_.starts_with(byte); }
    [[nodiscard]] std::optional<Found> longest_at(std::string_view text, std::size_t begin, SpecialTokens special) const;
    // Where the white space before `end`, or from `begin` on, has its other end.
    [[nodiscard]] static std::size_t start_of_space(std::string_view text, std::size_t begin, std::size_t end);
    [[nodiscard]] static std::size_t end_of_space(std::string_view text, std::size_t begin);

    Trie tokens_;
    std::vector<bool> only_if_parsed_;  // [n_tokens]: control tokens and the unknown token
    std::vector<Strip> strips_;         // [n_tokens], or empty
};

template <typename OnText, typename OnToken>
void AddedTokens::split(std::string_view text, SpecialTokens special, const OnText& on_text, const OnToken& on_token) const {
    std::size_t begin = 0;  // of the ordinary text not yet handed on
    for (std::size_t i = 0; i < text.size();) {
        const std::optional<Found> found = may_start(static_cast<unsigned char>(text[i])) ? longest_at(text, i, special) : std::nullopt;
        if (!found) {
            ++i;
            continue;
        }
        const Strip strip = strips_.empty() ? Strip{} : strips_[static_cast<std::size_t>(found->id)];
        const std::size_t end = strip.left ? start_of_space(text, begin, i) : i;
        if (end > begin) on_text(text.substr(begin, end - begin));
        on_token(found->id);
        // A token that starts with white space is found all the same, as Hugging Face's tokenizers do.
        i = found->end;
        begin = strip.right ? end_of_space(text, i) : i;
    }
    if (begin < text.size()) on_text(text.substr(begin));
}

}  // namespace rafter::text
