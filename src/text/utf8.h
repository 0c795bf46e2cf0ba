// UTF-8, strictly as the Unicode Standard's table 3-7 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rafter::text {

enum class Utf8Kind {
    kCharacter,  // size bytes are one code point
    kInvalid,    // size bytes can never be part of one (the longest such prefix: what one U+FFFD stands for)
    kCutOff,     // the text ends inside what may yet become a code point
};

struct Utf8Char {
    char32_t code;  // U+FFFD unless kind is kCharacter
    unsigned size;  // 1 to 4 bytes
    Utf8Kind kind;
};

// What stands at `begin`, which must be below text.size().
[[nodiscard]] Utf8Char utf8_char_at(std::string_view text, std::size_t begin);

// Where the first byte that is not part of a code point stands, or text.size().
[[nodiscard]] std::size_t find_invalid_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";             // U+2581, how SentencePiece writes a space

}  // namespace rafter::text
