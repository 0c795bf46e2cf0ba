// The vocabulary and the merges of a BPE tokenizer.json: hundreds of thousands of short texts, which are read without a tree of values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/text_index.h"
#include "text/tokenizer.h"

namespace rafter::text::hf {

inline constexpr std::size_t kMaxTokens = 4'000'000;
inline constexpr std::size_t kMaxMerges = 16'000'000;

// Ids by text.
class TokenIds {
  public:
    // Room for n_texts; more may be added.
    explicit TokenIds(std::size_t n_texts) : index_(n_texts) {}

    [[nodiscard]] std::optional<TokenId> find(std::string_view text) const {
        const auto i = index_.find(texts_, text);
        return i ? std::optional(ids_[static_cast<std::size_t>(*i)]) : std::nullopt;
    }
    // Where the text has an id, that stays and comes back.
    std::optional<TokenId> add(std::string_view text, TokenId id);

    // In the order of add().
    [[nodiscard]] std::size_t size() const { return ids_.size(); }
    [[nodiscard]] std::string_view text(std::size_t i) const { return texts_[i]; }
    [[nodiscard]] TokenId id(std::size_t i) const { return ids_[i]; }

  private:
    TextTable texts_;
    TextIndex index_;
    std::vector<TokenId> ids_;
};

// A tokenizer.json in which {} stands for the object model.vocab and [] for the list model.merges, and these two; empty where they are
// something else or missing.
struct CutJson {
    std::string rest;
    std::string_view vocab;
    std::string_view merges;
};
// Fails where a bracket or a text has no end, or where one of the two, or the model, is there twice.
[[nodiscard]] Result<CutJson> cut_long_lists(std::string_view json);

// An object of texts with their ids, added to `ids`.
[[nodiscard]] Result<void> read_bpe_vocab(std::string_view json, TokenIds& ids);

struct BpeMerges {
    std::vector<std::pair<TokenId, TokenId>> pairs;  // by rank
    std::vector<TokenId> merged;                     // [pairs]: what each gives
};
// A list of pairs of texts, or of texts that are two with a space between them.
[[nodiscard]] Result<BpeMerges> read_bpe_merges(std::string_view json, const TokenIds& ids);

}  // namespace rafter::text::hf
