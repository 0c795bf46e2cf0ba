// Code points by hand, their categories and simple case mappings by utf8proc, the full case mappings by our own table.
#include "text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "text/jinja/unicode_tables.h"

namespace rafter::text::jinja {

namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

template <std::size_t N>
bool in_ranges(const CodePointRange (&ranges)[N], char32_t c) {
    const auto* range =
        std::upper_bound(std::begin(ranges), std::end(ranges), c, [](char32_t x, const CodePointRange& r) { return x < r.first; });
    return range != std::begin(ranges) && c <= std::prev(range)->last;
}

utf8proc_category_t category_of(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// Code points that do not part a word when a sigma asks whether it ends one.
bool is_case_ignorable(char32_t c) {
    constexpr std::array<char32_t, 10> kSigns = {0x27, 0x2E, 0x3A, 0xB7, 0x387, 0x55F, 0x5F4, 0x2018, 0x2019, 0x2027};
    if (std::find(kSigns.begin(), kSigns.end(), c) != kSigns.end()) return true;
    switch (category_of(c)) {
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_ME:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_SK:
            return true;
        default:
            return false;
    }
}

bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

constexpr char32_t kSigma = 0x3A3, kSmallSigma = 0x3C3, kFinalSigma = 0x3C2;

// Whether the capital sigma at byte `at` ends a word: a letter before it and none after.
bool ends_word(std::string_view text, std::size_t at) {
    bool letter_before = false;
    for (std::size_t i = at; i > 0;) {
        const CodePoint c = code_point_before(text, i);
        i -= c.size_bytes;
        if (is_case_ignorable(c.value)) continue;
        letter_before = is_cased(c.value);
        break;
    }
    if (!letter_before) return false;
    for (std::size_t i = at + 2; i < text.size();) {
        const CodePoint c = code_point_at(text, i);
        i += c.size_bytes;
        if (!is_case_ignorable(c.value)) return !is_cased(c.value);
    }
    return true;
}

void append_lower(std::string& out, std::string_view text, std::size_t at, char32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    } else if (c == 0x130) {
        out += "i\u0307";
    } else if (c == kSigma) {
        append_code_point(out, ends_word(text, at) ? kFinalSigma : kSmallSigma);
    } else {
        append_code_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
}

enum class Case { kUpper, kTitle };

void append_upper(std::string& out, char32_t c, Case which) {
    if (c < 0x80) {
        out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
        return;
    }
    if (c >= 0x1F80 && c <= 0x1FAF) {
        // Greek vowels with an iota below: one code point as a title, vowel and iota in upper case.
        if (which == Case::kTitle) return append_code_point(out, c | 8);
        const char32_t base = c < 0x1F90 ? 0x1F08 : c < 0x1FA0 ? 0x1F28 : 0x1F68;
        append_code_point(out, base + (c & 7));
        return append_code_point(out, 0x399);
    }
    const auto* row = std::lower_bound(std::begin(kSpecialCases), std::end(kSpecialCases), c,
                                       [](const SpecialCase& special, char32_t x) { return special.from < x; });
    if (row != std::end(kSpecialCases) && row->from == c) {
        for (const char32_t mapped : which == Case::kUpper ? row->upper : row->title) {
            if (mapped != 0) append_code_point(out, mapped);
        }
        return;
    }
    const auto point = static_cast<utf8proc_int32_t>(c);
    append_code_point(out, static_cast<char32_t>(which == Case::kUpper ? utf8proc_toupper(point) : utf8proc_totitle(point)));
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
    const char32_t first = byte(0);
    if (first < 0x80) return {first, 1};
    if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
    if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
    return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

CodePoint code_point_before(std::string_view text, std::size_t end) {
    std::size_t begin = end - 1;
    while (begin > 0 && is_continuation(text[begin])) --begin;
    return code_point_at(text, begin);
}

void append_code_point(std::string& text, char32_t value) {
    const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((value >> shift) & 0x3F)); };
    if (value < 0x80) {
        text += static_cast<char>(value);
    } else if (value < 0x800) {
        text += static_cast<char>(0xC0 | (value >> 6));
        tail(0);
    } else if (value < 0x10000) {
        text += static_cast<char>(0xE0 | (value >> 12));
        tail(6);
        tail(0);
    } else {
        text += static_cast<char>(0xF0 | (value >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

std::size_t count_code_points(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
    std::size_t at = 0;
    for (; index > 0 && at < text.size(); --index) {
        do ++at;
        while (at < text.size() && is_continuation(text[at]));
    }
    return at;
}

std::size_t valid_utf8_prefix(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const auto first = static_cast<unsigned char>(text[at]);
        const std::size_t size = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
        if (size == 0 || at + size > text.size()) return at;
        for (std::size_t i = 1; i < size; ++i) {
            if (!is_continuation(text[at + i])) return at;
        }
        const char32_t c = code_point_at(text, at).value;
        const bool overlong = (size == 3 && c < 0x800) || (size == 4 && c < 0x10000);
        if (overlong || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return at;
        at += size;
    }
    return at;
}

std::string make_valid_utf8(std::string_view text) {
    std::string out;
    while (true) {
        const std::size_t valid = valid_utf8_prefix(text);
        out += text.substr(0, valid);
        if (valid == text.size()) return out;
        out += "\uFFFD";
        text.remove_prefix(valid + 1);
    }
}

bool is_space(char32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool is_alpha(char32_t c) {
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const auto category = category_of(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

int decimal_value(char32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9' ? static_cast<int>(c - '0') : -1;
    const auto* after = std::upper_bound(std::begin(kDecimalZeros), std::end(kDecimalZeros), c);
    const char32_t zero = *std::prev(after);  // the first zero is ASCII's, so there is one before
    return c - zero <= 9 ? static_cast<int>(c - zero) : -1;
}

bool is_decimal(char32_t c) { return decimal_value(c) >= 0; }
bool is_digit(char32_t c) { return is_decimal(c) || in_ranges(kOtherDigits, c); }

bool is_numeric(char32_t c) {
    if (c < 0x80) return is_decimal(c);
    const auto category = category_of(c);
    return (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) || in_ranges(kOtherNumerics, c);
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_word(char32_t c) { return c == '_' || is_alnum(c); }

bool is_printable(char32_t c) {
    if (c < 0x80) return c >= 0x20 && c < 0x7F;
    switch (category_of(c)) {
        case UTF8PROC_CATEGORY_CN:
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
            return false;
        default:
            return true;
    }
}

bool is_lower(char32_t c) {
    if (c < 0x80) return c >= 'a' && c <= 'z';
    return category_of(c) == UTF8PROC_CATEGORY_LL || in_ranges(kOtherLowercase, c);
}

bool is_upper(char32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z';
    return category_of(c) == UTF8PROC_CATEGORY_LU || in_ranges(kOtherUppercase, c);
}

bool is_title(char32_t c) { return c >= 0x80 && category_of(c) == UTF8PROC_CATEGORY_LT; }

bool is_identifier_start(char32_t c) { return c == '_' || is_alpha(c) || (c >= 0x80 && category_of(c) == UTF8PROC_CATEGORY_NL); }

bool is_identifier_part(char32_t c) {
    if (is_identifier_start(c) || is_decimal(c)) return true;
    if (c < 0x80) return false;
    const auto category = category_of(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_PC || c == 0xB7;
}

std::string to_lower(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        append_lower(out, text, at, c.value);
        at += c.size_bytes;
    }
    return out;
}

std::string to_upper(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        append_upper(out, c.value, Case::kUpper);
        at += c.size_bytes;
    }
    return out;
}

std::string to_title(std::string_view text) {
    std::string out;
    bool in_word = false;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (in_word) {
            append_lower(out, text, at, c.value);
        } else {
            append_upper(out, c.value, Case::kTitle);
        }
        in_word = is_cased(c.value);
        at += c.size_bytes;
    }
    return out;
}

std::string to_capitalized(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (at == 0) {
            append_upper(out, c.value, Case::kTitle);
        } else {
            append_lower(out, text, at, c.value);
        }
        at += c.size_bytes;
    }
    return out;
}

std::string swap_case(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (is_upper(c.value)) {
            append_lower(out, text, at, c.value);
        } else if (is_lower(c.value)) {
            append_upper(out, c.value, Case::kUpper);
        } else {
            append_code_point(out, c.value);
        }
        at += c.size_bytes;
    }
    return out;
}

std::string fold_case(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        at += c.size_bytes;
        std::array<utf8proc_int32_t, 8> folded{};
        int boundary = 0;
        const auto n =
            utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), folded.data(), folded.size(), UTF8PROC_CASEFOLD, &boundary);
        if (n <= 0) {
            append_code_point(out, c.value);
            continue;
        }
        for (utf8proc_ssize_t i = 0; i < n; ++i) append_code_point(out, static_cast<char32_t>(folded[static_cast<std::size_t>(i)]));
    }
    return out;
}

std::string_view strip_left(std::string_view text) {
    while (!text.empty()) {
        const CodePoint c = code_point_at(text, 0);
        if (!is_space(c.value)) break;
        text.remove_prefix(c.size_bytes);
    }
    return text;
}

std::string_view strip_right(std::string_view text) {
    while (!text.empty()) {
        const CodePoint c = code_point_before(text, text.size());
        if (!is_space(c.value)) break;
        text.remove_suffix(c.size_bytes);
    }
    return text;
}

std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

}  // namespace rafter::text::jinja
