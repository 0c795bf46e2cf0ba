// The merges of a BPE vocabulary: which two tokens become which third, and in what order of preference.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"
#include "text/hash.h"
#include "text/merging.h"
#include "text/vocabulary.h"

namespace rafter::text {

class MergeTable {
  public:
    // Reads tokenizer.ggml.merges. Each entry is two tokens separated by a space. An entry is skipped, with one warning for all, where they
    // or their concatenation are no tokens. (A token of spaces that a converter wrote with plain ones where the merges have U+2581 is found
    // as well.) Of equal entries the first counts; one whose result is a control token is left out.
    [[nodiscard]] static Result<MergeTable> load(const files::Metadata& metadata, const Vocabulary& vocabulary, Warnings& warnings);

    // pairs by rank, merged[i] what pairs[i] gives. Of equal pairs the first counts.
    [[nodiscard]] static MergeTable of(std::span<const std::pair<TokenId, TokenId>> pairs, std::span<const TokenId> merged);

    [[nodiscard]] std::optional<PairMerge> find(TokenId left, TokenId right) const;

    struct Entry {
        TokenId left, right;
    };
    // In file order, without repetitions.
    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

  private:
    struct Slot {
        Entry pair = {kNoToken, kNoToken};
        PairMerge merge = {};
    };
    [[nodiscard]] std::size_t slot_of(Entry pair) const;
    void add(Entry pair, TokenId merged);

    std::uint64_t seed_ = hash_seed();
    std::vector<Entry> entries_;
    std::vector<Slot> slots_;  // a power of two of them, open addressing, at most two thirds full
};

}  // namespace rafter::text
