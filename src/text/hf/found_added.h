// Finding the added tokens of a tokenizer.json in a text, as Hugging Face's tokenizers do.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "text/hf/tokenizer_json.h"
#include "text/trie.h"

namespace rafter::text::hf {

class AddedTokenFinder {
  public:
    // `text` is what to find for the token: its own, or that after normalising. A token without a text is never found.
    void add(const AddedToken& token, std::string_view text);

    // Calls on_text(stretch, its begin) for each non-empty stretch of ordinary text and on_token(id) for each token, in order. At each
    // place the longest token counts; special ones are found with kParse only. text is valid UTF-8.
    template <typename OnText, typename OnToken>
    void split(std::string_view text, SpecialTokens special, const OnText& on_text, const OnToken& on_token) const;

  private:
    struct Found {
        const AddedToken* token;
        std::size_t begin, end;
    };
    [[nodiscard]] std::optional<Found> next(std::string_view text, std::size_t from, SpecialTokens special) const;
    // Widened by the white space that the token swallows; none where the token must be a word of its own and is not.
    [[nodiscard]] static std::optional<Found> fitted(Found found, std::string_view text);

    Trie trie_;
    std::vector<AddedToken> tokens_;
};

template <typename OnText, typename OnToken>
void AddedTokenFinder::split(std::string_view text, SpecialTokens special, const OnText& on_text, const OnToken& on_token) const {
    std::size_t done = 0;
    std::size_t from = 0;
    while (const std::optional<Found> match = next(text, from, special)) {
        from = match->end;
        const std::optional<Found> found = fitted(*match, text);
        if (!found) continue;
        const std::size_t begin = std::max(found->begin, done);
        if (begin > done) on_text(text.substr(done, begin - done), done);
        on_token(found->token->id);
        done = found->end;
    }
    if (done < text.size()) on_text(text.substr(done), done);
}

}  // namespace rafter::text::hf
