// Tables with linear probing, at most half full. Nothing is ever taken out, so a search may end at the first empty slot.
#include "engine/speculation/ngram_index.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "base/check.h"

namespace rafter::engine {
namespace {

// More than good hashes ever need in a table half full; tokens chosen to collide cannot make a search longer.
constexpr std::size_t kMaxProbes = 128;

}  // namespace

NgramIndex::Lengths NgramIndex::lengths(std::uint32_t min_match) {
    Lengths result;
    for (std::uint32_t& length : result) {
        length = min_match;
        min_match += (min_match + 1) / 2;
    }
    return result;
}

NgramIndex::NgramIndex(std::uint32_t min_match, std::uint64_t hash_mask) : lengths_(lengths(min_match)), hash_mask_(hash_mask) {
    RAFTER_CHECK(min_match >= 1, "n-grams of no token");
}

void NgramIndex::begin_text(std::uint32_t owner) { texts_.push_back({static_cast<std::uint32_t>(tokens_.size()), owner}); }

void NgramIndex::append(TokenId token) {
    if (tokens_.size() == tokens_.capacity()) tokens_.reserve(std::max(kMinTokens, 2 * tokens_.size()));
    tokens_.push_back(token);
    if (2 * tokens_.size() > tables_[0].size()) {
        grow_tables();
    } else {
        insert(texts_.back(), static_cast<std::uint32_t>(tokens_.size() - 1));
    }
}

std::optional<NgramMatch> NgramIndex::find(std::uint32_t owner, std::span<const TokenId> tokens) const {
    if (tokens_.empty()) return std::nullopt;
    Hashes hashes;
    for (std::size_t i = hash(owner, tokens, hashes); i-- > 0;) {
        const auto ngram = tokens.last(lengths_[i]);
        const std::uint32_t position = tables_[i][slot(i, hashes[i], owner, ngram)];
        if (position == 0 || !is_at(position, owner, ngram)) continue;
        const std::size_t most = std::min({tokens.size(), std::size_t{longest()}, std::size_t{position} - text_at(position).begin});
        NgramMatch match{position, lengths_[i]};
        while (match.length < most && tokens[tokens.size() - 1 - match.length] == tokens_[position - 1 - match.length]) ++match.length;
        return match;
    }
    return std::nullopt;
}

std::span<const TokenId> NgramIndex::continuation(const NgramMatch& match) const {
    const Text* text = &text_at(match.position);
    const std::size_t end = text == &texts_.back() ? tokens_.size() : text[1].begin;
    return std::span(tokens_).subspan(match.position, end - match.position);
}

const NgramIndex::Text& NgramIndex::text_at(std::uint32_t position) const {
    return *std::prev(
        std::upper_bound(texts_.begin(), texts_.end(), position, [](std::uint32_t p, const Text& text) { return p < text.begin; }));
}

bool NgramIndex::is_at(std::uint32_t position, std::uint32_t owner, std::span<const TokenId> ngram) const {
    return std::equal(ngram.rbegin(), ngram.rend(), std::make_reverse_iterator(tokens_.begin() + position)) &&
           text_at(position).owner == owner;
}

std::size_t NgramIndex::hash(std::uint32_t owner, std::span<const TokenId> tokens, Hashes& hashes) const {
    std::uint64_t h = owner;
    std::size_t n = 0;
    for (std::uint32_t length = 0; n < kTables && length < tokens.size();) {
        h = (h ^ static_cast<std::uint32_t>(tokens[tokens.size() - ++length])) * 0x9E3779B97F4A7C15U;  // 2^64 / golden ratio, odd
        h ^= h >> 32;
        if (length == lengths_[n]) hashes[n++] = h & hash_mask_;
    }
    return n;
}

std::size_t NgramIndex::slot(std::size_t i, std::uint64_t hash, std::uint32_t owner, std::span<const TokenId> ngram) const {
    const std::vector<std::uint32_t>& table = tables_[i];
    const std::size_t mask = table.size() - 1;
    std::size_t at = hash & mask;
    for (std::size_t n = 1; n < kMaxProbes && table[at] != 0 && !is_at(table[at], owner, ngram); ++n) at = (at + 1) & mask;
    return at;
}

void NgramIndex::insert(const Text& text, std::uint32_t position) {
    const auto before = std::span(tokens_).subspan(text.begin, position - text.begin);
    Hashes hashes;
    const std::size_t n = hash(text.owner, before, hashes);
    for (std::size_t i = 0; i < n; ++i) tables_[i][slot(i, hashes[i], text.owner, before.last(lengths_[i]))] = position;
}

void NgramIndex::grow_tables() {
    const std::size_t size = std::bit_ceil(std::max(2 * kMinTokens, 2 * tokens_.size()));
    for (auto& table : tables_) {
        table = {};  // its memory goes before the new one's comes
        table.resize(size);
    }
    for (std::size_t t = 0; t < texts_.size(); ++t) {
        const std::size_t end = t + 1 < texts_.size() ? texts_[t + 1].begin : tokens_.size();
        for (std::uint32_t position = texts_[t].begin; position < end; ++position) insert(texts_[t], position);
    }
}

}  // namespace rafter::engine
