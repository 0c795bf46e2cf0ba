// Numbers as text and back: Python's format specifications for them, and what int() and float() accept.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "text/jinja/format.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace rafter::text::jinja {

namespace {

// More digits than that would be a template's bomb; doubles have 1074 at most behind the point.
constexpr std::int64_t kMaxPrecision = 5000;

// Thousands (or, in other bases, groups of four) parted by the separator.
std::string grouped(std::string_view digits, char separator, std::size_t group) {
    if (separator == 0) return std::string(digits);
    std::string out;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % group == 0) out += separator;
        out += digits[i];
    }
    return out;
}

std::string sign_text(bool negative, char sign) { return negative ? "-" : sign == '-' ? "" : std::string(1, sign); }

// Pads to the width; numbers align right, and `=` puts the fill after their sign.
Result<std::string> padded(Runtime& runtime, std::string prefix, std::string body, const FormatSpec& spec, char default_align) {
    const std::size_t n_points = count_code_points(prefix) + count_code_points(body);
    if (spec.width <= static_cast<std::int64_t>(n_points)) return prefix + body;
    const auto n_fill = static_cast<std::size_t>(spec.width) - n_points;
    // Once alone, for the product may overflow.
    RAFTER_TRY_VOID(runtime.reserve(n_fill));
    RAFTER_TRY_VOID(runtime.reserve(n_fill * spec.fill.size()));
    const auto fill = [&](std::size_t n) {
        std::string out;
        out.reserve(n * spec.fill.size());
        for (std::size_t i = 0; i < n; ++i) out += spec.fill;
        return out;
    };
    switch (spec.align == 0 ? default_align : spec.align) {
        case '<':
            return prefix + body + fill(n_fill);
        case '^':
            return fill(n_fill / 2) + prefix + body + fill(n_fill - n_fill / 2);
        case '=':
            return prefix + fill(n_fill) + body;
        default:
            return fill(n_fill) + prefix + body;
    }
}

std::string integer_digits(Int magnitude, char type) {
    using UnsignedInt = unsigned __int128;
    const auto value = static_cast<UnsignedInt>(magnitude);
    switch (type) {
        case 'x':
            return fmt::format("{:x}", value);
        case 'X':
            return fmt::format("{:X}", value);
        case 'o':
            return fmt::format("{:o}", value);
        case 'b':
            return fmt::format("{:b}", value);
        default:
            return fmt::format("{}", value);
    }
}

// Zeros that fill a grouped number are grouped as well: format(1234, "08,") is "0,001,234".
std::string zero_filled(std::string digits, const FormatSpec& spec, std::size_t n_others, std::size_t group) {
    if (spec.fill != "0" || spec.align != '=' || spec.grouping == 0 || spec.width > kMaxPrecision)
        return grouped(digits, spec.grouping, group);
    std::string out = grouped(digits, spec.grouping, group);
    while (static_cast<std::int64_t>(out.size() + n_others) < spec.width) {
        digits.insert(digits.begin(), '0');
        out = grouped(digits, spec.grouping, group);
    }
    return out;
}

}  // namespace

std::string real_digits(double value, char type, std::int64_t precision, bool alternate) {
    if (std::isnan(value)) return type == 'E' || type == 'F' || type == 'G' ? "NAN" : "nan";
    if (std::isinf(value)) return type == 'E' || type == 'F' || type == 'G' ? "INF" : "inf";
    const std::string format = fmt::format("%{}.*{}", alternate ? "#" : "", type);
    const int digits = static_cast<int>(std::min(precision, kMaxPrecision));
    const int size = std::snprintf(nullptr, 0, format.c_str(), digits, value);
    std::string out(static_cast<std::size_t>(size) + 1, '\0');
    std::snprintf(out.data(), out.size(), format.c_str(), digits, value);
    out.resize(static_cast<std::size_t>(size));
    return out;
}

Result<std::string> format_integer(Runtime& runtime, Int value, const FormatSpec& spec) {
    switch (spec.type) {
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
        case '%':
            return format_real(runtime, static_cast<double>(value), spec);
        case 'c': {
            if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return bad_input("%c: expected a code point");
            std::string text;
            append_code_point(text, static_cast<char32_t>(value));
            return padded(runtime, "", text, spec, '<');
        }
        case 0:
        case 'd':
        case 'n':
        case 'x':
        case 'X':
        case 'o':
        case 'b':
            break;
        default:
            return bad_input("Unknown format code '{}' for object of type 'int'", spec.type);
    }
    if (spec.precision) return bad_input("Precision not allowed in integer format specifier");
    const bool decimal = spec.type == 0 || spec.type == 'd' || spec.type == 'n';
    if (spec.grouping == ',' && !decimal) return bad_input("Cannot specify ',' with '{}'.", spec.type);
    std::string prefix = sign_text(value < 0, spec.sign);
    if (spec.alternate && !decimal) prefix += fmt::format("0{}", spec.type);
    const std::string digits = integer_digits(value < 0 ? -value : value, spec.type);
    return padded(runtime, prefix, zero_filled(digits, spec, prefix.size(), decimal ? 3 : 4), spec, '>');
}

Result<std::string> format_real(Runtime& runtime, double value, const FormatSpec& spec) {
    const double magnitude = std::abs(value);
    if (spec.precision && *spec.precision > kMaxPrecision) return bad_input("precision {} is too large", *spec.precision);
    std::string digits;
    switch (spec.type) {
        case 0:
            if (!spec.precision) {
                digits = float_repr(magnitude);
            } else {
                // Like 'g', but what looks whole keeps a ".0", and one exponent earlier turns to scientific notation.
                const std::int64_t precision = std::max<std::int64_t>(*spec.precision, 1);
                digits = real_digits(magnitude, 'g', precision, spec.alternate);
                const std::string scientific = real_digits(magnitude, 'e', precision - 1, false);
                const std::size_t e = scientific.find('e');
                if (e != std::string::npos && std::atoi(scientific.c_str() + e + 1) == precision - 1) {
                    std::string mantissa = scientific.substr(0, e);
                    while (mantissa.find('.') != std::string::npos && (mantissa.back() == '0' || mantissa.back() == '.'))
                        mantissa.pop_back();
                    digits = mantissa + scientific.substr(e);
                } else if (std::isfinite(magnitude) && digits.find_first_of(".e") == std::string::npos) {
                    digits += ".0";
                }
            }
            break;
        case 'n':
            digits = real_digits(magnitude, 'g', spec.precision.value_or(6), spec.alternate);
            break;
        case '%':
            digits = real_digits(magnitude * 100, 'f', spec.precision.value_or(6), spec.alternate) + "%";
            break;
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
            digits = real_digits(magnitude, spec.type, spec.precision.value_or(6), spec.alternate);
            break;
        default:
            return bad_input("Unknown format code '{}' for object of type 'float'", spec.type);
    }
    const std::string prefix = sign_text(std::signbit(value) && !std::isnan(value), spec.sign);
    const std::size_t n_whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    const std::string rest = digits.substr(n_whole);
    return padded(runtime, prefix, zero_filled(digits.substr(0, n_whole), spec, prefix.size() + rest.size(), 3) + rest, spec, '>');
}

Result<std::string> format_text(Runtime& runtime, std::string_view text, const FormatSpec& spec) {
    if (spec.precision) text = text.substr(0, byte_offset(text, static_cast<std::size_t>(*spec.precision)));
    return padded(runtime, "", std::string(text), spec, '<');
}

std::optional<double> parse_float(std::string_view text) {
    text = strip(text);
    // Digits of any script count; underscores only between digits.
    std::string plain;
    bool after_digit = false;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        at += c.size_bytes;
        const int digit = decimal_value(c.value);
        if (c.value == '_') {
            const bool before_digit = at < text.size() && decimal_value(code_point_at(text, at).value) >= 0;
            if (!after_digit || !before_digit) return std::nullopt;
            continue;
        }
        after_digit = digit >= 0;
        if (c.value >= 0x80 && digit < 0) return std::nullopt;
        plain += digit >= 0 ? static_cast<char>('0' + digit) : static_cast<char>(c.value);
    }
    std::string_view rest = plain;
    const bool negative = !rest.empty() && rest[0] == '-';
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
    const std::string lower = to_lower(rest);
    double value = 0;
    if (lower == "inf" || lower == "infinity") {
        value = std::numeric_limits<double>::infinity();
    } else if (lower == "nan") {
        value = std::numeric_limits<double>::quiet_NaN();
    } else {
        if (rest.empty() || rest.find_first_not_of("0123456789.eE+-") != std::string_view::npos || rest[0] == '+' || rest[0] == '-')
            return std::nullopt;
        if (rest.find_first_of("0123456789") == std::string_view::npos) return std::nullopt;
        const std::string number(rest);
        char* end = nullptr;
        value = std::strtod(number.c_str(), &end);
        if (end != number.c_str() + number.size()) return std::nullopt;
    }
    return negative ? -value : value;
}

Result<std::optional<Int>> parse_integer(std::string_view text, int base) {
    using Found = std::optional<Int>;
    if (base != 0 && (base < 2 || base > 36)) return bad_input("int() base must be >= 2 and <= 36, or 0");
    text = strip(text);
    const bool negative = !text.empty() && text[0] == '-';
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
    bool prefixed = false;
    if (text.size() >= 2 && text[0] == '0') {
        const char letter = static_cast<char>(text[1] | 0x20);
        const int prefix_base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
        if (prefix_base != 0 && (base == 0 || base == prefix_base)) {
            base = prefix_base;
            prefixed = true;
            text.remove_prefix(2);
        }
    }
    const bool zeros_only = base == 0 && !text.empty() && text[0] == '0';  // int("012", 0) is an error, int("00", 0) is not
    if (base == 0) base = 10;
    Int value = 0;
    bool any = false;
    bool after_underscore = !prefixed;  // an underscore may follow a prefix, but not begin a number
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        at += c.size_bytes;
        if (c.value == '_') {
            if (after_underscore) return Found();
            after_underscore = true;
            continue;
        }
        int digit = decimal_value(c.value);
        if (digit < 0 && c.value < 0x80 && is_alpha(c.value)) digit = static_cast<int>((c.value | 0x20) - 'a') + 10;
        if (digit < 0 || digit >= base || (zeros_only && digit != 0)) return Found();
        if (__builtin_mul_overflow(value, Int{base}, &value) || __builtin_add_overflow(value, Int{digit}, &value)) {
            return bad_input("int(): the number is beyond an integer of 128 bits");
        }
        any = true;
        after_underscore = false;
    }
    if (!any || after_underscore) return Found();
    return Found(negative ? -value : value);
}

}  // namespace rafter::text::jinja
