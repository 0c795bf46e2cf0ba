// The lexer: one pass over the source, with jinja2's rules for what belongs to a tag.
#include "text/jinja/parse/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "text/jinja/parse/error_text.h"
#include "text/jinja/run/unicode.h"
#include "text/utf8.h"

namespace rafter::text::jinja {

namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

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

// What a literal between quotes says. jinja2 hands it to Python's "unicode-escape" codec after turning what is not ASCII into escapes; this
// gives what comes out of that. Errors do not say where.
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

class Lexer {
  public:
    Lexer(std::string_view source, std::string_view template_name) : source_(source), template_name_(template_name) {}

    Result<std::vector<Token>> run() {
        while (at_ < source_.size()) RAFTER_TRY_VOID(text_and_tag());
        push(TokenType::kEnd, "");
        return std::move(tokens_);
    }

  private:
    // Positions are asked for in the order of the source, so this walks over it once.
    Position position_of(std::size_t at) {
        for (; counted_ < at; ++counted_) {
            if (source_[counted_] == '\n') {
                ++position_.line;
                position_.column = 1;
            } else if ((static_cast<unsigned char>(source_[counted_]) & 0xC0) != 0x80) {
                ++position_.column;
            }
        }
        return position_;
    }

    template <typename... Args>
    Error fail(fmt::format_string<Args...> format, Args&&... args) {
        return located(bad_input(format, std::forward<Args>(args)...), template_name_, position_of(at_));
    }

    Token& push(TokenType type, std::string text) {
        tokens_.push_back({.type = type, .at = position_of(at_), .text = std::move(text)});
        return tokens_.back();
    }

    [[nodiscard]] bool next_is(std::string_view text) const { return source_.substr(at_).starts_with(text); }

    [[nodiscard]] std::size_t after_spaces(std::size_t at) const {
        while (at < source_.size()) {
            const CodePoint c = code_point_at(source_, at);
            if (!is_space(c.value)) break;
            at += c.size_bytes;
        }
        return at;
    }

    // A tag ends at `end`, just behind its last character: what follows belongs to it as its sign says.
    [[nodiscard]] std::size_t after_tag(std::size_t end, char sign, bool trims_line_end) const {
        if (sign == '-') return after_spaces(end);
        if (sign != '+' && trims_line_end && end < source_.size() && source_[end] == '\n') return end + 1;
        return end;
    }

    [[nodiscard]] std::size_t find_tag(std::size_t from) const {
        while (true) {
            const std::size_t brace = source_.find('{', from);
            if (brace == std::string_view::npos || brace + 1 >= source_.size()) return std::string_view::npos;
            const char next = source_[brace + 1];
            if (next == '%' || next == '{' || next == '#') return brace;
            from = brace + 1;
        }
    }

    // The text before a tag, less the white space that the tag takes.
    void push_data(std::size_t end, char sign, bool strips_indentation) {
        std::string_view text = source_.substr(at_, end - at_);
        if (sign == '-') {
            text = strip_right(text);
        } else if (sign != '+' && strips_indentation) {
            const std::size_t line_end = text.rfind('\n');
            const std::size_t line = line_end == std::string_view::npos ? 0 : line_end + 1;
            if ((line > 0 || line_starting_) && strip(text.substr(line)).empty()) text = text.substr(0, line);
        }
        if (!text.empty()) push(TokenType::kData, std::string(text));
        at_ = end;
    }

    void advance_to(std::size_t end) {
        line_starting_ = end > at_ && source_[end - 1] == '\n';
        at_ = end;
    }

    Result<void> text_and_tag() {
        const std::size_t begin = find_tag(at_);
        if (begin == std::string_view::npos) {
            push_data(source_.size(), '+', false);
            return {};
        }
        const char kind = source_[begin + 1];
        const char sign = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
        const bool has_sign = sign == '-' || sign == '+';
        push_data(begin, sign, kind != '{');
        const std::size_t body = begin + 2 + (has_sign ? 1 : 0);
        if (kind == '#') {
            tag_ = at_;
            advance_to(body);
            return comment();
        }
        push(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, "");
        advance_to(body);
        return kind == '{' ? expression("}}", TokenType::kVariableEnd) : expression("%}", TokenType::kBlockEnd);
    }

    Result<void> comment() {
        const std::size_t end = source_.find("#}", at_);
        if (end == std::string_view::npos) {
            return located(bad_input("Missing end of comment tag"), template_name_, position_of(tag_));
        }
        const char sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+') ? source_[end - 1] : '\0';
        advance_to(after_tag(end + 2, sign, true));
        return {};
    }

    // The tokens of {{ }} or {% %}, up to and with its end.
    Result<void> expression(std::string_view end, TokenType end_type) {
        std::string open;  // brackets still open: inside them the end marks are operators
        while (true) {
            if (open.empty()) {
                const bool signed_end = at_ < source_.size() &&
                                        (source_[at_] == '-' || (source_[at_] == '+' && end_type == TokenType::kBlockEnd)) &&
                                        source_.substr(at_ + 1).starts_with(end);
                if (signed_end || next_is(end)) {
                    const char sign = signed_end ? source_[at_] : '\0';
                    push(end_type, "");
                    advance_to(after_tag(at_ + end.size() + (signed_end ? 1 : 0), sign, end_type == TokenType::kBlockEnd));
                    return {};
                }
            }
            if (at_ >= source_.size()) {
                // jinja2 leaves this to the parser, which then finds the template's end where it does not belong.
                return {};
            }
            RAFTER_TRY_VOID(token(open));
        }
    }

    Result<void> token(std::string& open) {
        const CodePoint c = code_point_at(source_, at_);
        if (is_space(c.value)) {
            advance_to(after_spaces(at_));
            return {};
        }
        if (c.value < 0x80 && is_ascii_digit(static_cast<char>(c.value))) return number();
        if (is_word(c.value) || is_identifier_part(c.value)) return name();
        if (c.value == '"' || c.value == '\'') {
            RAFTER_TRY(const bool done, string(static_cast<char>(c.value)));
            if (done) return {};
        }
        return operation(open);
    }

    // The end of the digits from `at`, `at` itself when there are none.
    [[nodiscard]] std::size_t after_digits(std::size_t at) const {
        while (at < source_.size() && is_ascii_digit(source_[at])) ++at;
        return at;
    }

    Result<void> number() {
        const std::size_t whole = after_digits(at_);
        std::size_t end = whole;
        if (end < source_.size() && source_[end] == '.' && after_digits(end + 1) > end + 1) end = after_digits(end + 1);
        if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
            const bool has_sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
            const std::size_t exponent = end + (has_sign ? 2 : 1);
            if (after_digits(exponent) > exponent) end = after_digits(exponent);
        }
        // In x.1.2 each number is an index.
        const bool after_point = at_ > 0 && source_[at_ - 1] == '.';
        if (end > whole && !after_point) {
            push(TokenType::kFloat, "").real = std::strtod(std::string(source_.substr(at_, end - at_)).c_str(), nullptr);
            advance_to(end);
            return {};
        }
        if (source_[at_] == '0' && source_.substr(at_, whole - at_).find_first_not_of('0') != std::string_view::npos) {
            return fail("a number with leading zeros");
        }
        Int value = 0;
        for (const char c : source_.substr(at_, whole - at_)) {
            if (__builtin_mul_overflow(value, Int{10}, &value) || __builtin_add_overflow(value, Int{c - '0'}, &value)) {
                return fail("an integer beyond 128 bits");
            }
        }
        push(TokenType::kInteger, "").integer = value;
        advance_to(whole);
        return {};
    }

    Result<void> name() {
        std::size_t end = at_;
        bool valid = true;
        while (end < source_.size()) {
            const CodePoint c = code_point_at(source_, end);
            if (!is_word(c.value) && !is_identifier_part(c.value)) break;
            valid = valid && (end == at_ ? is_identifier_start(c.value) : is_identifier_part(c.value));
            end += c.size_bytes;
        }
        if (!valid) return fail("Invalid character in identifier");
        push(TokenType::kName, std::string(source_.substr(at_, end - at_)));
        advance_to(end);
        return {};
    }

    // False when the quote is never closed.
    Result<bool> string(char quote) {
        std::size_t end = at_ + 1;
        while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
        if (end >= source_.size()) return false;
        const Result<std::string> value = unescape_string_literal(source_.substr(at_ + 1, end - at_ - 1));
        if (!value) return fail("{}", value.error().message);
        push(TokenType::kString, *value);
        advance_to(end + 1);
        return true;
    }

    Result<void> operation(std::string& open) {
        constexpr std::array<std::string_view, 27> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]",
                                                                 "(",  ")",  "{",  "}",  ">",  "<",  "=", ".", ":", "|", ",", ";", ""};
        const auto* const found = std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view op) { return next_is(op); });
        if (found->empty()) return fail("unexpected character '{}'", source_.substr(at_, code_point_at(source_, at_).size_bytes));
        const char c = (*found)[0];
        if (c == '(') open += ')';
        if (c == '[') open += ']';
        if (c == '{') open += '}';
        if (c == ')' || c == ']' || c == '}') {
            if (open.empty()) return fail("unexpected '{}'", c);
            if (open.back() != c) return fail("unexpected '{}', expected '{}'", c, open.back());
            open.pop_back();
        }
        push(TokenType::kOperator, std::string(*found));
        advance_to(at_ + found->size());
        return {};
    }

    std::string_view source_;
    std::string_view template_name_;
    std::size_t at_ = 0;
    std::size_t tag_ = 0;        // where the comment began
    bool line_starting_ = true;  // the last thing that was read ended a line
    std::size_t counted_ = 0;    // how far position_ has come
    Position position_;
    std::vector<Token> tokens_;
};

// Line ends become \n; one at the very end goes, as jinja2 does it.
std::string normalized(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            out += source[i];
            continue;
        }
        out += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
    if (out.ends_with('\n')) out.pop_back();
    return out;
}

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source, std::string_view template_name) {
    const std::string text = normalized(source);
    return Lexer(text, template_name).run();
}

}  // namespace rafter::text::jinja
