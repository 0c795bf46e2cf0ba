// Python's view of text: code points, their classes and their cases. All texts inside the interpreter are valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rafter::text::jinja {

struct CodePoint {
    char32_t value = 0;
    std::size_t size_bytes = 1;
};

// The code point that begins at byte `at`, which must lie inside the text and begin one.
[[nodiscard]] CodePoint code_point_at(std::string_view text, std::size_t at);
// The code point that ends just before byte `end` > 0.
[[nodiscard]] CodePoint code_point_before(std::string_view text, std::size_t end);
[[nodiscard]] std::size_t count_code_points(std::string_view text);
// Where the code point of that index begins; text.size() when there are not so many.
[[nodiscard]] std::size_t byte_offset(std::string_view text, std::size_t index);

// Named after Python's str.isspace() and its kin; is_word is \w of its regular expressions.
[[nodiscard]] bool is_space(char32_t c);
[[nodiscard]] bool is_word(char32_t c);
[[nodiscard]] bool is_printable(char32_t c);
[[nodiscard]] bool is_lower(char32_t c);
[[nodiscard]] bool is_upper(char32_t c);
[[nodiscard]] bool is_identifier_start(char32_t c);
[[nodiscard]] bool is_identifier_part(char32_t c);
// 0 to 9 of any script's decimal digit, else -1.
[[nodiscard]] int decimal_value(char32_t c);

// Full case mappings: "ß" becomes "SS", and a sigma that ends a word becomes "ς".
[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_upper(std::string_view text);
[[nodiscard]] std::string to_title(std::string_view text);        // str.title(): every run of letters
[[nodiscard]] std::string to_capitalized(std::string_view text);  // str.capitalize()

[[nodiscard]] std::string_view strip_left(std::string_view text);  // of white space
[[nodiscard]] std::string_view strip_right(std::string_view text);
[[nodiscard]] std::string_view strip(std::string_view text);

}  // namespace rafter::text::jinja
