// Which characters may stand side by side inside a token. Between two that may not, text can be cut without changing how it is tokenised:
// that makes words of text that has no pre-tokenizer.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/hash.h"
#include "text/utf8.h"

namespace rafter::text {

// One character or, where a byte is part of none, that byte, as a number above every code point.
struct TextUnit {
    std::uint32_t code;
    std::uint32_t size;
};

inline TextUnit text_unit_at(std::string_view text, std::size_t begin) {
    const Utf8Char c = utf8_char_at(text, begin);
    if (c.kind == Utf8Kind::kCharacter) return {c.code, c.size};
    return {0x110000U + static_cast<unsigned char>(text[begin]), 1};
}

class CharPairs {
  public:
    CharPairs() : slots_(64) {}
    void add(std::uint32_t first, std::uint32_t second);
    // Every two neighbours in the text.
    void add_all_of(std::string_view text);
    [[nodiscard]] bool has(std::uint32_t first, std::uint32_t second) const {
        if ((first | second) < 128) return (ascii_[first][second / 64] >> second % 64 & 1) != 0;
        const std::uint64_t key = key_of(first, second);
        return slots_[slot_of(key)] == key;
    }

  private:
    static std::uint64_t key_of(std::uint32_t first, std::uint32_t second) {
        return (static_cast<std::uint64_t>(first) << 32 | second) + 1;
    }
    [[nodiscard]] std::size_t slot_of(std::uint64_t key) const {
        const std::size_t mask = slots_.size() - 1;
        std::size_t at = hash_word(key, seed_) & mask;
        while (slots_[at] != 0 && slots_[at] != key) at = (at + 1) & mask;
        return at;
    }

    std::uint64_t seed_ = hash_seed();
    std::array<std::array<std::uint64_t, 2>, 128> ascii_{};  // a bit for each two ASCII characters
    std::vector<std::uint64_t> slots_;                       // the other pairs; 0: empty; a power of two, at most half full
    std::size_t n_used_ = 0;
};

}  // namespace rafter::text
