// Finding added tokens; see the header.
#include "text/added_tokens.h"

namespace rafter::text {

AddedTokens::AddedTokens(const Vocabulary& vocabulary) : only_if_parsed_(vocabulary.size(), false) {
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
        const auto id = static_cast<TokenId>(i);
        const TokenType type = vocabulary.type(id);
        if (type != TokenType::kControl && type != TokenType::kUnknown && type != TokenType::kUserDefined) continue;
        tokens_.insert(vocabulary.text(id), id);
        only_if_parsed_[i] = type != TokenType::kUserDefined;
    }
}

void AddedTokens::set_strip(TokenId id, Strip strip) {
    strips_.resize(only_if_parsed_.size());
    strips_[static_cast<std::size_t>(id)] = strip;
}

std::optional<AddedTokens::Found> AddedTokens::longest_at(std::string_view text, std::size_t begin, SpecialTokens special) const {
    std::optional<Found> longest;
    Trie::Node node = Trie::kRoot;
    for (std::size_t i = begin; i < text.size(); ++i) {
        const std::optional<Trie::Node> next = tokens_.child(node, static_cast<unsigned char>(text[i]));
        if (!next) break;
        node = *next;
        const std::optional<TokenId> id = tokens_.value(node);
        if (id && (special == SpecialTokens::kParse || !only_if_parsed_[static_cast<std::size_t>(*id)])) longest = Found{*id, i + 1};
    }
    return longest;
}

}  // namespace rafter::text
