// The unigram kind of SentencePiece vocabulary (model "t5"): of all ways to write a text in tokens, the one with the highest sum of scores.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"
#include "text/precompiled_charsmap.h"
#include "text/trie.h"
#include "text/vocabulary.h"

namespace rafter::text {

// Immutable after make.
class UnigramEncoder {
  public:
    // For one call of encode, or for several over parts of the same text.
    struct Scratch {
        explicit Scratch(std::size_t /*text_size_bytes*/) {}
        // The best way to write the text up to a place ends with this token, which starts at `begin`.
        struct Best {
            double score;
            std::size_t begin;
            TokenId id;
        };
        std::string normalized;
        std::vector<Best> best;
        std::vector<TokenId> backwards;
    };

    [[nodiscard]] static Result<UnigramEncoder> make(const files::Metadata& metadata, const Vocabulary& vocabulary,
                                                     std::optional<TokenId> unknown);

    // Appends the tokens of ordinary text; `prefix` (a space or nothing) goes before its first word. Characters that no token has become
    // the unknown token, one for any number in a row. Time is linear in the text for a given longest token; memory is that of the longest
    // stretch that tokens cross all through.
    void encode(const Vocabulary& vocabulary, std::string_view prefix, std::string_view text, Scratch& scratch,
                std::vector<TokenId>& out) const;

  private:
    void normalize(std::string_view prefix, std::string_view text, std::string& out) const;
    void extend(const Vocabulary& vocabulary, std::string_view text, std::size_t at, Scratch& scratch) const;
    // Appends the tokens of the stretch whose last end is best.back(); unknown ones only if the last one appended was not.
    void flush(Scratch& scratch, bool& after_unknown, std::vector<TokenId>& out) const;

    PrecompiledCharsmap charsmap_;
    Trie tokens_;
    TokenId unknown_ = kNoUnknown;
    float unknown_score_ = 0;
    bool merge_spaces_ = false;
    static constexpr TokenId kNoUnknown = -1;
};

}  // namespace rafter::text
