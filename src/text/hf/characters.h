// Unicode's properties of characters, as tokenizers ask for them.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "text/utf8.h"

namespace rafter::text::hf {

// Calls visit(code point, its bytes) for each character of valid UTF-8.
template <typename Visit>
void for_each_character(std::string_view text, const Visit& visit) {
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Char c = utf8_char_at(text, i);
        visit(c.code, text.substr(i, c.size));
        i += c.size;
    }
}

[[nodiscard]] bool is_white_space(char32_t code);  // White_Space
[[nodiscard]] bool is_mark(char32_t code);         // general category M
[[nodiscard]] bool is_number(char32_t code);       // general category N
[[nodiscard]] bool is_punctuation(char32_t code);  // general category P, and all of ASCII's
[[nodiscard]] bool is_word_part(char32_t code);    // \w of Rust's regex: letters, marks, digits, connectors
// The text without white space at the ends that are asked for: begin and end.
[[nodiscard]] std::pair<std::size_t, std::size_t> without_white_space(std::string_view text, bool left, bool right);
// The character that ends where `end` is, which is not 0, of valid UTF-8.
[[nodiscard]] Utf8Char character_before(std::string_view text, std::size_t end);

}  // namespace rafter::text::hf
