// A vocabulary of all bytes and of some longer texts, for what looks at tokens' texts alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace rafter::testing {

// Tokens 0 to 255 are the bytes; then the given texts; then control tokens, whose texts show where special tokens do; then the end token,
// which has no text.
class ByteTokenizer : public text::Tokenizer {
  public:
    explicit ByteTokenizer(const std::vector<std::string>& longer = {}, const std::vector<std::string>& control = {}) {
        for (int byte = 0; byte < 256; ++byte) pieces_.emplace_back(1, static_cast<char>(byte));
        pieces_.insert(pieces_.end(), longer.begin(), longer.end());
        first_control_ = pieces_.size();
        pieces_.insert(pieces_.end(), control.begin(), control.end());
        special_.eos = static_cast<text::TokenId>(pieces_.size());
        special_.end_of_generation = {*special_.eos};
        pieces_.emplace_back();
    }

    // Byte by byte.
    [[nodiscard]] std::vector<text::TokenId> encode(std::string_view text, text::SpecialTokens /*special*/) const override {
        std::vector<text::TokenId> ids;
        for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
        return ids;
    }
    [[nodiscard]] std::string_view piece(text::TokenId id, text::SpecialTokens special) const override {
        const auto i = static_cast<std::size_t>(id);
        if (i >= first_control_ && special == text::SpecialTokens::kAsText) return {};
        return pieces_.at(i);
    }
    [[nodiscard]] std::string decode(std::span<const text::TokenId> ids, text::SpecialTokens special) const override {
        std::string text;
        for (const text::TokenId id : ids) text += piece(id, special);
        return text;
    }
    [[nodiscard]] std::size_t n_tokens() const override { return pieces_.size(); }
    [[nodiscard]] const text::SpecialIds& special() const override { return special_; }
    [[nodiscard]] std::optional<text::TokenId> find(std::string_view token_text) const override {
        for (std::size_t i = 0; i < pieces_.size(); ++i) {
            if (pieces_[i] == token_text) return static_cast<text::TokenId>(i);
        }
        return std::nullopt;
    }
    [[nodiscard]] std::string description() const override { return "bytes"; }

  private:
    std::vector<std::string> pieces_;
    std::size_t first_control_ = 0;
    text::SpecialIds special_;
};

}  // namespace rafter::testing
