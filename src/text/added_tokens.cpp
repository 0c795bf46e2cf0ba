// Finding added tokens; see the header.
#include "text/added_tokens.h"

#include "base/folded_name.h"
#include "text/hf/characters.h"
#include "text/utf8.h"

namespace rafter::text {
namespace {

// 0: none begins here.
std::size_t white_space_size(std::string_view text, std::size_t begin) {
    const Utf8Char c = utf8_char_at(text, begin);
    return c.kind == Utf8Kind::kCharacter && hf::is_white_space(c.code) ? c.size : 0;
}

}  // namespace

bool swallows_white_space_by_name(std::string_view model_name) {
    const std::string lower = lower_case(model_name);
    return lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
}

bool is_swallowing_by_name(std::string_view token_text) {
    return token_text != "<unk>" && token_text != "<s>" && token_text != "<|endoftext|>";
}

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

std::size_t AddedTokens::start_of_space(std::string_view text, std::size_t begin, std::size_t end) {
    constexpr std::size_t kMaxSpaceBytes = 3;
    for (std::size_t size = 1; size <= kMaxSpaceBytes && begin + size <= end;) {
        if (white_space_size(text, end - size) == size) {
            end -= size;
            size = 1;
        } else {
            ++size;
        }
    }
    return end;
}

std::size_t AddedTokens::end_of_space(std::string_view text, std::size_t begin) {
    while (begin < text.size()) {
        const std::size_t size = white_space_size(text, begin);
        if (size == 0) break;
        begin += size;
    }
    return begin;
}

}  // namespace rafter::text
