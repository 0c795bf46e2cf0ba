// See the header.
#include "text/hf/found_added.h"

#include "text/hf/characters.h"

namespace rafter::text::hf {

void AddedTokenFinder::add(const AddedToken& token, std::string_view text) {
    if (text.empty()) return;
    trie_.insert(text, static_cast<std::int32_t>(tokens_.size()));
    tokens_.push_back(token);
}

std::optional<AddedTokenFinder::Found> AddedTokenFinder::next(std::string_view text, std::size_t from, SpecialTokens special) const {
    if (tokens_.empty()) return std::nullopt;
    for (std::size_t begin = from; begin < text.size(); ++begin) {
        if (!trie_.starts_with(static_cast<unsigned char>(text[begin]))) continue;
        std::optional<Found> longest;
        Trie::Node node = Trie::kRoot;
        for (std::size_t i = begin; i < text.size(); ++i) {
            const auto child = trie_.child(node, static_cast<unsigned char>(text[i]));
            if (!child) break;
            node = *child;
            const auto index = trie_.value(node);
            if (!index) continue;
            const AddedToken& token = tokens_[static_cast<std::size_t>(*index)];
            if (special == SpecialTokens::kParse || !token.special) longest = Found{&token, begin, i + 1};
        }
        if (longest) return longest;
    }
    return std::nullopt;
}

std::optional<AddedTokenFinder::Found> AddedTokenFinder::fitted(Found found, std::string_view text) {
    if (found.token->single_word) {
        const bool joins_before = found.begin > 0 && is_word_part(character_before(text, found.begin).code);
        const bool joins_after = found.end < text.size() && is_word_part(utf8_char_at(text, found.end).code);
        if (joins_before || joins_after) return std::nullopt;
    }
    if (found.token->lstrip) found.begin = without_white_space(text.substr(0, found.begin), false, true).second;
    if (found.token->rstrip) found.end += without_white_space(text.substr(found.end), true, false).first;
    return found;
}

}  // namespace rafter::text::hf
