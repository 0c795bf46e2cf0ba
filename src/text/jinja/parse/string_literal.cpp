// jinja2 hands a literal to Python's "unicode-escape" codec after turning what is not ASCII into escapes; this gives what comes out of
// that.
#include "text/jinja/parse/string_literal.h"

#include <fmt/format.h>

#include "text/jinja/run/unicode.h"
#include "text/utf8.h"

namespace rafter::text::jinja {

namespace {

// Letters after a backslash, and what they stand for.
constexpr std::string_view kSimpleEscapes = "\\'\"abfnrtv";
constexpr std::string_view kSimpleValues = "\\'\"\a\b\f\n\r\t\v";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char letter = static_cast<char>(c | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// \xhh, \uhhhh, \Uhhhhhhhh: exactly so many digits.
Result<void> append_hex(std::string& out, std::string_view& rest, char letter) {
    const std::size_t n_digits = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
    char32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i) {
        const int digit = i < rest.size() ? hex_value(rest[i]) : -1;
        if (digit < 0) return bad_input("truncated \\{} escape: expected {} hexadecimal digits", letter, n_digits);
        value = value << 4 | static_cast<char32_t>(digit);
    }
    rest.remove_prefix(n_digits);
    if (value > 0x10FFFF) return bad_input("illegal Unicode character \\{}{:08x}", letter, static_cast<std::uint32_t>(value));
    if (value >= 0xD800 && value <= 0xDFFF)
        return bad_input("\\{}{:04x} is half a surrogate pair, not a character", letter, static_cast<std::uint32_t>(value));
    append_utf8(out, value);
    return {};
}

void append_octal(std::string& out, std::string_view& rest, char first) {
    auto value = static_cast<char32_t>(first - '0');
    for (int i = 0; i < 2 && !rest.empty() && rest[0] >= '0' && rest[0] <= '7'; ++i) {
        value = value << 3 | static_cast<char32_t>(rest[0] - '0');
        rest.remove_prefix(1);
    }
    append_utf8(out, value);
}

// A backslash before a letter beyond ASCII: the letter had become an escape, whose own backslash the codec then takes for an escaped one.
void append_spoiled(std::string& out, std::string_view& rest) {
    const CodePoint c = code_point_at(rest, 0);
    const auto code = static_cast<std::uint32_t>(c.value);
    out += '\\';
    out += code < 0x100 ? fmt::format("x{:02x}", code) : code < 0x10000 ? fmt::format("u{:04x}", code) : fmt::format("U{:08x}", code);
    rest.remove_prefix(c.size_bytes);
}

}  // namespace

Result<std::string> unescape_string_literal(std::string_view rest) {
    std::string out;
    while (!rest.empty()) {
        const std::size_t backslash = rest.find('\\');
        out += rest.substr(0, backslash);
        if (backslash == std::string_view::npos) break;
        rest.remove_prefix(backslash + 1);
        if (rest.empty()) return bad_input("\\ at end of string");
        if (static_cast<unsigned char>(rest[0]) >= 0x80) {
            append_spoiled(out, rest);
            continue;
        }
        const char c = rest[0];
        rest.remove_prefix(1);
        if (c == '\n') continue;
        const std::size_t simple = kSimpleEscapes.find(c);
        if (simple != std::string_view::npos) {
            out += kSimpleValues[simple];
        } else if (c == 'x' || c == 'u' || c == 'U') {
            RAFTER_TRY_VOID(append_hex(out, rest, c));
        } else if (c == 'N') {
            return bad_input("\\N{{...}}: characters by name are not supported");
        } else if (c >= '0' && c <= '7') {
            append_octal(out, rest, c);
        } else {
            out += '\\';
            out += c;
        }
    }
    return out;
}

}  // namespace rafter::text::jinja
