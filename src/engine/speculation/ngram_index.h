// Texts in which the end of another is looked up: where did these last tokens occur, and what came next? A hash table for each of a few
// lengths knows the latest place of each n-gram. A place counts only where the tokens are equal: equal hashes never make a match.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"

namespace rafter::engine {

struct NgramMatch {
    std::uint32_t position = 0;  // in the index, of the token that came next
    std::uint32_t length = 0;    // tokens before it that are equal; what goes beyond longest() is not counted
};

class NgramIndex {
  public:
    // Half as long again from one to the next, starting at min_match: 2, 3, 5, 8, 12, 18, 27, 41.
    static constexpr std::size_t kLengths = 8;
    static constexpr std::size_t kTables = 6;  // the first so many lengths are looked up; matches are measured with all
    using Lengths = std::array<std::uint32_t, kLengths>;
    [[nodiscard]] static Lengths lengths(std::uint32_t min_match);

    // Of tokens whose number is a power of two from kMinTokens on; of any number from there on, at most twice as much.
    static constexpr std::size_t kBytesPerToken = sizeof(TokenId) + kTables * 2 * sizeof(std::uint32_t);
    static constexpr std::size_t kBytesPerText = 16;
    static constexpr std::size_t kMinTokens = 256;

    // min_match: at least 1. hash_mask: for tests of colliding hashes.
    explicit NgramIndex(std::uint32_t min_match, std::uint64_t hash_mask = ~std::uint64_t{0});

    // Starts another text: append() goes there, and n-grams do not cross its start. It is found by its owner only.
    void begin_text(std::uint32_t owner);
    // O(1) amortised.
    void append(TokenId token);

    // Of the lengths that have a table, the greatest at which the end of `tokens` occurs in a text of this owner with a token after it; the
    // latest such place. A place is forgotten only when very many hashes collide. O(1).
    [[nodiscard]] std::optional<NgramMatch> find(std::uint32_t owner, std::span<const TokenId> tokens) const;
    // From match.position to the end of its text. Valid until append().
    [[nodiscard]] std::span<const TokenId> continuation(const NgramMatch& match) const;

    [[nodiscard]] std::span<const TokenId> tokens() const { return tokens_; }  // of all texts
    [[nodiscard]] std::size_t n_texts() const { return texts_.size(); }
    [[nodiscard]] std::uint32_t longest() const { return lengths_.back(); }

  private:
    struct Text {
        std::uint32_t begin;
        std::uint32_t owner;
    };
    using Hashes = std::array<std::uint64_t, kTables>;

    [[nodiscard]] const Text& text_at(std::uint32_t position) const;
    // Of the last lengths_[i] tokens; only those that are long enough are set. Returns how many.
    std::size_t hash(std::uint32_t owner, std::span<const TokenId> tokens, Hashes& hashes) const;
    // Whether this owner's text has the n-gram before this position.
    [[nodiscard]] bool is_at(std::uint32_t position, std::uint32_t owner, std::span<const TokenId> ngram) const;
    // Where an n-gram of table i is, or else where it may be put.
    [[nodiscard]] std::size_t slot(std::size_t i, std::uint64_t hash, std::uint32_t owner, std::span<const TokenId> ngram) const;
    // That this token comes after what is before it in its text.
    void insert(const Text& text, std::uint32_t position);
    void grow_tables();

    Lengths lengths_;
    std::uint64_t hash_mask_;
    std::vector<TokenId> tokens_;
    std::vector<Text> texts_;                                 // by begin
    std::array<std::vector<std::uint32_t>, kTables> tables_;  // [a power of two] positions after n-grams; 0: none
};

}  // namespace rafter::engine
