// The SentencePiece kind of vocabulary: spaces become U+2581, characters are merged, and what no token stands for is written as bytes
// <0xHH>. Merging goes by the tokens' scores (model "llama") or by a list of merges (model "gemma4").
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"
#include "text/char_pairs.h"
#include "text/merge_table.h"
#include "text/merging.h"
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace rafter::text {

// Merges two neighbours whenever their text together is a token, the highest score first.
class ScoredMerges {
  public:
    explicit ScoredMerges(const Vocabulary& vocabulary);
    [[nodiscard]] std::optional<PairMerge> find(const Vocabulary& vocabulary, std::string_view joined_text) const;

  private:
    std::vector<std::uint32_t> priorities_;  // [n_tokens]: 0 for the highest score
    std::size_t max_text_bytes_ = 0;
};

// Immutable after make.
class SpaceMarkEncoder {
  public:
    // For one call of encode, or for several over parts of the same text.
    struct Scratch {
        explicit Scratch(std::size_t text_size_bytes) : cache(text_size_bytes) {}
        PreTokenizer::Scratch split;
        SymbolMerger merger;
        WordCache cache;
        std::string marked;  // the text with its spaces replaced
    };
    struct Options {
        const PreTokenizerFamily* family = nullptr;  // null: the text is not cut before merging
        bool rank_merged = false;
        bool whole_line_ends = false;  // a run of \n that is a token is that token
        std::optional<TokenId> unknown;
    };

    [[nodiscard]] static Result<SpaceMarkEncoder> make(const files::Metadata& metadata, const Vocabulary& vocabulary,
                                                       const Options& options, Warnings& warnings);

    // Appends the tokens of `prefix` and ordinary text, as of one text. A character that neither a token nor <0xHH> tokens stand for
    // becomes the unknown token, or nothing if there is none.
    void encode(const Vocabulary& vocabulary, std::string_view prefix, std::string_view text, Scratch& scratch,
                std::vector<TokenId>& out) const;

  private:
    void encode_piece(const Vocabulary& vocabulary, std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;
    void encode_word(const Vocabulary& vocabulary, std::string_view word, SymbolMerger& merger, std::vector<TokenId>& out) const;
    void append_bytes(std::string_view character, std::vector<TokenId>& out) const;
    // The end of the word that begins here: the next place where nothing can merge across.
    [[nodiscard]] std::size_t find_word_end(std::string_view piece, std::size_t begin) const;

    PreTokenizer pre_tokenizer_;
    std::variant<ScoredMerges, MergeTable> merges_ = MergeTable();
    CharPairs joinable_;
    std::array<TokenId, 256> byte_tokens_{};   // kNoToken: none
    std::array<TokenId, 128> ascii_tokens_{};  // of characters
    TokenId unknown_ = kNoToken;
    bool whole_line_ends_ = false;
};

}  // namespace rafter::text
