// The token list of a model file, checked: texts, types and scores by id, ids by text.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "files/gguf.h"
#include "text/text_index.h"
#include "text/tokenizer.h"

namespace rafter::text {

// As numbered in tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t {
    kUndefined = 0,  // read as kNormal
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,      // never made from plain text
    kUserDefined = 4,  // always found in text, before anything else
    kUnused = 5,
    kByte = 6,  // <0xHH>
};

// Whether ordinary text may become such a token. Control and unknown tokens are what text must not be able to spell; bytes have their own
// way.
[[nodiscard]] inline bool may_come_from_text(TokenType type) {
    return type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
}

class Vocabulary {
  public:
    // Fails on a missing or empty token list, a text that two tokens share, and on types or scores of another number than the tokens. An
    // empty text is allowed (real files have some): such a token is never made from text and adds nothing to it.
    [[nodiscard]] static Result<Vocabulary> load(const files::Metadata& metadata);

    [[nodiscard]] std::size_t size() const { return types_.size(); }
    [[nodiscard]] std::string_view text(TokenId id) const { return texts_[static_cast<std::size_t>(id)]; }
    [[nodiscard]] TokenType type(TokenId id) const { return types_[static_cast<std::size_t>(id)]; }
    void set_type(TokenId id, TokenType type) { types_[static_cast<std::size_t>(id)] = type; }
    [[nodiscard]] bool has_scores() const { return !scores_.empty(); }
    [[nodiscard]] float score(TokenId id) const { return scores_[static_cast<std::size_t>(id)]; }  // only if has_scores()
    [[nodiscard]] std::optional<TokenId> find(std::string_view text) const { return index_.find(texts_, text); }
    // Only of tokens that ordinary text may become.
    [[nodiscard]] std::optional<TokenId> find_ordinary(std::string_view text) const {
        const std::optional<TokenId> id = find(text);
        return id && may_come_from_text(type(*id)) ? id : std::nullopt;
    }

    // The token for one byte, <0xHH>.
    [[nodiscard]] std::optional<TokenId> find_byte(unsigned char byte) const;

  private:
    TextTable texts_;
    TextIndex index_;
    std::vector<TokenType> types_;  // [size()]
    std::vector<float> scores_;     // [size()], or empty
};

// The byte that a text of the form <0xHH> stands for.
[[nodiscard]] std::optional<unsigned char> byte_of_token_text(std::string_view text);

// The token that a key names. None where the key is missing, or where its number is no token's: files in use have 4294967295, -1 and the
// number of tokens there. Fails on a value that is no integer.
[[nodiscard]] Result<std::optional<TokenId>> find_token_id(const files::Metadata& metadata, std::string_view key, std::size_t n_tokens);

// The ids that end an answer, begin a text and so on, from the metadata and from well-known token texts. Turns those that end an answer
// into control tokens, whatever the file says of them. `defaults` holds for what the file leaves open. One warning names all ids of the
// file that are no token's.
[[nodiscard]] Result<SpecialIds> find_special_ids(const files::Metadata& metadata, Vocabulary& vocabulary, const SpecialIds& defaults,
                                                  Warnings& warnings);

}  // namespace rafter::text
