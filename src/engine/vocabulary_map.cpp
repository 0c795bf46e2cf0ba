// Tokens are the same when their texts are; where several share a text, an equal number decides, then the lowest.
#include "engine/vocabulary_map.h"

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>

#include "base/quote.h"

namespace rafter::engine {
namespace {

constexpr double kMostMissing = 0.05;

}  // namespace

Result<VocabularyMap> VocabularyMap::match(const text::Tokenizer& target, std::size_t n_target, const text::Tokenizer& draft,
                                           std::size_t n_draft) {
    const auto piece = [](const text::Tokenizer& tokenizer, std::size_t id) {
        return tokenizer.piece(static_cast<TokenId>(id), text::SpecialTokens::kAsText);
    };
    const std::size_t n_target_words = std::min(n_target, target.n_tokens());
    const std::size_t n_draft_words = std::min(n_draft, draft.n_tokens());
    std::unordered_map<std::string_view, TokenId> by_text;
    for (std::size_t id = 0; id < n_draft_words; ++id) by_text.emplace(piece(draft, id), static_cast<TokenId>(id));

    VocabularyMap map;
    map.to_draft_.assign(n_target, kNone);
    std::size_t n_missing = 0;
    std::string first_missing;
    for (std::size_t id = 0; id < n_target_words; ++id) {
        const std::string_view text = piece(target, id);
        const auto found = by_text.find(text);
        if (id < n_draft_words && piece(draft, id) == text) {
            map.to_draft_[id] = static_cast<TokenId>(id);
        } else if (found != by_text.end()) {
            map.to_draft_[id] = found->second;
        } else if (n_missing++ == 0) {
            first_missing = text;
        }
    }
    if (static_cast<double>(n_missing) > kMostMissing * static_cast<double>(n_target_words)) {
        return bad_input("the draft model's vocabulary is another one: {} of the model's {} tokens are not in it, the first is {}",
                         n_missing, n_target_words, quote(first_missing));
    }
    map.identity_ = n_target == n_draft;
    for (std::size_t id = 0; id < n_target_words; ++id) map.identity_ = map.identity_ && map.to_draft_[id] == static_cast<TokenId>(id);
    return map;
}

void VocabularyMap::to_target_logits(std::span<const float> draft, std::vector<float>& target) const {
    target.assign(to_draft_.size(), -std::numeric_limits<float>::infinity());
    for (std::size_t id = 0; id < to_draft_.size(); ++id) {
        if (to_draft_[id] != kNone) target[id] = draft[static_cast<std::size_t>(to_draft_[id])];
    }
}

}  // namespace rafter::engine
