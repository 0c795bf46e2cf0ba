// Parses and hashes the merges; see the header.
#include "text/merge_table.h"

#include <bit>
#include <string>

#include "base/quote.h"
#include "text/utf8.h"

namespace rafter::text {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

std::optional<TokenId> find_token(const Vocabulary& vocabulary, std::string_view text) {
    const std::optional<TokenId> found = vocabulary.find(text);
    if (found || text.find(kSpaceMark) == std::string_view::npos) return found;
    std::string plain;
    for (std::size_t i = 0; i < text.size();) {
        const bool mark = text.substr(i).starts_with(kSpaceMark);
        plain += mark ? ' ' : text[i];
        i += mark ? kSpaceMark.size() : 1;
    }
    return vocabulary.find(plain);
}

}  // namespace

std::size_t MergeTable::slot_of(Entry pair) const {
    const std::uint64_t key =
        static_cast<std::uint64_t>(static_cast<std::uint32_t>(pair.left)) << 32 | static_cast<std::uint32_t>(pair.right);
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash_word(key, seed_) & mask;
    while (slots_[at].pair.left != kNoToken && (slots_[at].pair.left != pair.left || slots_[at].pair.right != pair.right)) {
        at = (at + 1) & mask;
    }
    return at;
}

std::optional<PairMerge> MergeTable::find(TokenId left, TokenId right) const {
    if (left == kNoToken || right == kNoToken) return std::nullopt;
    const Slot& slot = slots_[slot_of({left, right})];
    if (slot.pair.left == kNoToken) return std::nullopt;
    return slot.merge;
}

void MergeTable::add(Entry pair, TokenId merged) {
    Slot& slot = slots_[slot_of(pair)];
    if (slot.pair.left != kNoToken) return;
    slot = {pair, {static_cast<std::uint32_t>(entries_.size()), merged}};
    entries_.push_back(pair);
}

MergeTable MergeTable::of(std::span<const std::pair<TokenId, TokenId>> pairs, std::span<const TokenId> merged) {
    MergeTable made;
    made.slots_.resize(std::bit_ceil(pairs.size() + pairs.size() / 2 + 2));
    for (std::size_t i = 0; i < pairs.size(); ++i) made.add({pairs[i].first, pairs[i].second}, merged[i]);
    return made;
}

Result<MergeTable> MergeTable::load(const files::Metadata& metadata, const Vocabulary& vocabulary, Warnings& warnings) {
    RAFTER_TRY(const auto merges, metadata.find_strings(kMergesKey));
    if (!merges) return bad_input("{}: expected a list of texts, found no such key", kMergesKey);
    MergeTable made;
    std::size_t n_skipped = 0;
    std::string first_skipped;
    made.slots_.resize(std::bit_ceil(merges->size() + merges->size() / 2 + 2));
    for (std::size_t i = 0; i < merges->size(); ++i) {
        const std::string_view merge = (*merges)[i];
        const std::size_t space = merge.find(' ', 1);  // the left token may itself start with one
        if (space == std::string_view::npos || space + 1 == merge.size()) {
            return bad_input("{}: entry {}: expected two tokens separated by a space, found {}", kMergesKey, i, quote(merge));
        }
        const std::string_view left_text = merge.substr(0, space);
        const std::string_view right_text = merge.substr(space + 1);
        const std::string merged_text = std::string(left_text) + std::string(right_text);
        const std::optional<TokenId> left = find_token(vocabulary, left_text);
        const std::optional<TokenId> right = find_token(vocabulary, right_text);
        const std::optional<TokenId> merged = find_token(vocabulary, merged_text);
        if (!left || !right || !merged) {
            const std::string_view unknown = !left ? left_text : !right ? right_text : std::string_view(merged_text);
            if (n_skipped++ == 0) first_skipped = fmt::format("entry {} names {}", i, quote(unknown));
            continue;
        }
        if (may_come_from_text(vocabulary.type(*merged))) made.add({*left, *right}, *merged);
    }
    if (n_skipped > 0) {
        warnings.push_back(fmt::format("{}: skipped {} of {} entries, because they name tokens that the vocabulary does not have; {}",
                                       kMergesKey, n_skipped, merges->size(), first_skipped));
    }
    return made;
}

}  // namespace rafter::text
