// Byte-level BPE (GPT-2's kind): text is cut into words, and each word's bytes are merged by rank.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"
#include "text/byte_alphabet.h"
#include "text/merge_table.h"
#include "text/merging.h"
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace rafter::text {

// Immutable after make.
class ByteBpeEncoder {
  public:
    // For one call of encode, or for several over parts of the same text.
    struct Scratch {
        explicit Scratch(std::size_t text_size_bytes) : cache(text_size_bytes) {}
        PreTokenizer::Scratch split;
        SymbolMerger merger;
        WordCache cache;
    };

    [[nodiscard]] static Result<ByteBpeEncoder> make(const files::Metadata& metadata, const Vocabulary& vocabulary,
                                                     const PreTokenizerFamily& family, Warnings& warnings);

    // Appends the tokens of ordinary text. A byte that no token stands for is left out: the vocabularies that lack bytes lack those that
    // valid UTF-8 never has, and characters that their training never saw.
    void encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const;

  private:
    void encode_word(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& out) const;

    PreTokenizer pre_tokenizer_;
    MergeTable merges_;
    std::array<TokenId, 256> byte_tokens_{};
    // Where whole words are looked up first: the tokens' bytes, by id, and their index; else empty.
    bool ignore_merges_ = false;
    TextTable token_bytes_;
    TextIndex whole_words_;
};

}  // namespace rafter::text
