// Tokens are the same when their texts are, special tokens by their names. Those that share a text are paired in order: the letters of
// SentencePiece vocabularies are there as bytes too.
#include "engine/speculation/vocabulary_map.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/quote.h"

namespace rafter::engine {
namespace {

constexpr std::size_t kMaxMissing = 20;  // one in so many

std::vector<TokenId> match_texts(const text::Tokenizer& target, std::size_t n_target, const text::Tokenizer& draft, std::size_t n_draft,
                                 text::SpecialTokens special) {
    struct Alike {
        std::vector<TokenId> ids;  // ascending
        std::size_t n_taken = 0;
    };
    std::unordered_map<std::string_view, Alike> by_text;
    for (std::size_t id = 0; id < n_draft; ++id) {
        by_text[draft.piece(static_cast<TokenId>(id), special)].ids.push_back(static_cast<TokenId>(id));
    }
    std::vector<TokenId> matched(n_target, VocabularyMap::kNone);
    for (std::size_t id = 0; id < n_target; ++id) {
        const auto found = by_text.find(target.piece(static_cast<TokenId>(id), special));
        if (found == by_text.end()) continue;
        Alike& alike = found->second;
        matched[id] = alike.ids[std::min(alike.n_taken++, alike.ids.size() - 1)];
    }
    return matched;
}

}  // namespace

Result<VocabularyMap> VocabularyMap::match(const text::Tokenizer& target, std::size_t n_target, const text::Tokenizer& draft,
                                           std::size_t n_draft) {
    const std::size_t n_words = std::min(n_target, target.n_tokens());
    const std::size_t n_draft_words = std::min(n_draft, draft.n_tokens());
    VocabularyMap map;
    map.to_draft_ = match_texts(target, n_words, draft, n_draft_words, text::SpecialTokens::kParse);
    // As text special tokens are all alike: another one is better than none, which would end the drafting where it stands in a prompt.
    std::vector<TokenId> as_text = map.to_draft_;
    if (std::ranges::find(as_text, kNone) != as_text.end()) {
        as_text = match_texts(target, n_words, draft, n_draft_words, text::SpecialTokens::kAsText);
    }
    std::size_t n_missing = 0;
    std::size_t first_missing = 0;
    map.identity_ = n_target == n_draft;
    for (std::size_t id = 0; id < n_words; ++id) {
        TokenId& to = map.to_draft_[id];
        if (to == kNone) to = as_text[id];
        if (to == kNone && n_missing++ == 0) first_missing = id;
        map.identity_ = map.identity_ && to == static_cast<TokenId>(id);
    }
    if (n_missing > n_words / kMaxMissing) {
        return bad_input(
            "the draft model's vocabulary differs from the model's: expected at most {1} of {0} tokens to be missing from it, found {2}; "
            "the first is {3}",
            n_words, n_words / kMaxMissing, n_missing,
            quote(target.piece(static_cast<TokenId>(first_missing), text::SpecialTokens::kParse)));
    }
    map.to_draft_.resize(n_target, kNone);
    return map;
}

void VocabularyMap::to_target_logits(std::span<const float> draft, std::vector<float>& target) const {
    target.assign(to_draft_.size(), -std::numeric_limits<float>::infinity());
    for (std::size_t id = 0; id < to_draft_.size(); ++id) {
        if (to_draft_[id] != kNone) target[id] = draft[static_cast<std::size_t>(to_draft_[id])];
    }
}

}  // namespace rafter::engine
