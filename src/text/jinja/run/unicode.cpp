// Categories and simple case mappings are utf8proc's; full case mappings follow from its case folding.
#include "text/jinja/run/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "text/code_range.h"
#include "text/utf8.h"

namespace rafter::text::jinja {

namespace {

// Other_Lowercase and Other_Uppercase of https://www.unicode.org/Public/14.0.0/ucd/, which utf8proc does not hand out.
constexpr CodeRange kOtherLowercase[] = {
    {0xAA, 0xAA},     {0xBA, 0xBA},     {0x2B0, 0x2B8},     {0x2C0, 0x2C1},     {0x2E0, 0x2E4},     {0x345, 0x345},
    {0x37A, 0x37A},   {0x1D2C, 0x1D6A}, {0x1D78, 0x1D78},   {0x1D9B, 0x1DBF},   {0x2071, 0x2071},   {0x207F, 0x207F},
    {0x2090, 0x209C}, {0x2170, 0x217F}, {0x24D0, 0x24E9},   {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},
    {0xA7F8, 0xA7F9}, {0xAB5C, 0xAB5F}, {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA},
};
constexpr CodeRange kOtherUppercase[] = {
    {0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189},
};

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
utf8proc_int32_t point(char32_t c) { return static_cast<utf8proc_int32_t>(c); }
utf8proc_category_t category_of(char32_t c) { return utf8proc_category(point(c)); }

template <std::size_t N>
bool has_category(char32_t c, const std::array<utf8proc_category_t, N>& categories) {
    return std::ranges::find(categories, category_of(c)) != categories.end();
}

bool is_alpha(char32_t c) { return category_of(c) >= UTF8PROC_CATEGORY_LU && category_of(c) <= UTF8PROC_CATEGORY_LO; }
bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || category_of(c) == UTF8PROC_CATEGORY_LT; }

// Code points that a sigma looks past when it asks whether it ends a word.
bool is_case_ignorable(char32_t c) {
    constexpr std::u32string_view kSigns = U"\x27\x2E\x3A\xB7\x387\x55F\x5F4\x2018\x2019\x2027";
    constexpr std::array kCategories = {UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME, UTF8PROC_CATEGORY_CF, UTF8PROC_CATEGORY_LM,
                                        UTF8PROC_CATEGORY_SK};
    return kSigns.find(c) != std::u32string_view::npos || has_category(c, kCategories);
}

constexpr char32_t kSigma = 0x3A3, kSmallSigma = 0x3C3, kFinalSigma = 0x3C2, kIota = 0x3B9, kIotaBelow = 0x345;

// Whether the capital sigma at byte `at` ends a word: a letter before it and none after.
bool ends_word(std::string_view text, std::size_t at) {
    std::size_t begin = at;
    while (begin > 0 && is_case_ignorable(code_point_before(text, begin).value)) begin -= code_point_before(text, begin).size_bytes;
    if (begin == 0 || !is_cased(code_point_before(text, begin).value)) return false;
    std::size_t end = at + code_point_at(text, at).size_bytes;
    while (end < text.size() && is_case_ignorable(code_point_at(text, end).value)) end += code_point_at(text, end).size_bytes;
    return end == text.size() || !is_cased(code_point_at(text, end).value);
}

void append_lower(std::string& out, std::string_view text, std::size_t at, char32_t c) {
    if (c == kSigma) return append_utf8(out, ends_word(text, at) ? kFinalSigma : kSmallSigma);
    append_utf8(out, c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : static_cast<char32_t>(utf8proc_tolower(point(c))));
    if (c == 0x130) append_utf8(out, 0x307);
}

enum class Case { kUpper, kTitle };

// What folds to several code points ("ß" to "ss") has as many in upper case, unless it is a capital itself. In a title only the first is a
// capital, and an iota goes below the vowel before it.
void append_upper(std::string& out, char32_t c, Case which) {
    if (c < 0x80) return append_utf8(out, c >= 'a' && c <= 'z' ? c - 32 : c);
    const auto title = static_cast<char32_t>(utf8proc_totitle(point(c)));
    std::array<utf8proc_int32_t, 8> folded{};
    int boundary = 0;
    const auto n = utf8proc_decompose_char(point(c), folded.data(), folded.size(), UTF8PROC_CASEFOLD, &boundary);
    const bool is_capital = category_of(c) == UTF8PROC_CATEGORY_LU;
    if (n < 2 || is_capital || (which == Case::kTitle && category_of(title) == UTF8PROC_CATEGORY_LT)) {
        return append_utf8(out, which == Case::kUpper ? static_cast<char32_t>(utf8proc_toupper(point(c))) : title);
    }
    bool has_capital = false;
    for (utf8proc_ssize_t i = 0; i < n; ++i) {
        const utf8proc_int32_t part = folded[static_cast<std::size_t>(i)];
        const utf8proc_int32_t upper = utf8proc_toupper(part);
        if (which == Case::kUpper || !has_capital) {
            append_utf8(out, static_cast<char32_t>(upper));
        } else {
            append_utf8(out, part == point(kIota) ? kIotaBelow : static_cast<char32_t>(part));
        }
        has_capital = has_capital || upper != part;
    }
}

template <typename Append>
std::string mapped(std::string_view text, Append append) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        append(out, at, c.value);
        at += c.size_bytes;
    }
    return out;
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first < 0x80) return {first, 1};
    const Utf8Char c = utf8_char_at(text, at);
    return {c.code, c.size};
}

CodePoint code_point_before(std::string_view text, std::size_t end) {
    std::size_t begin = end - 1;
    while (begin > 0 && is_continuation(text[begin])) --begin;
    return code_point_at(text, begin);
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

bool is_space(char32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
    constexpr std::array kSpaces = {UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZL, UTF8PROC_CATEGORY_ZP};
    return c == 0x85 || has_category(c, kSpaces);
}

int decimal_value(char32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9' ? static_cast<int>(c - '0') : -1;
    // Each script's ten digits stand in a row, and rows that touch begin at a zero.
    char32_t begin = c + 1;
    while (category_of(begin - 1) == UTF8PROC_CATEGORY_ND) --begin;
    return begin > c ? -1 : static_cast<int>((c - begin) % 10);
}

bool is_word(char32_t c) {
    constexpr std::array kNumbers = {UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NL, UTF8PROC_CATEGORY_NO};
    return c == '_' || is_alpha(c) || has_category(c, kNumbers);
}

bool is_printable(char32_t c) {
    if (c < 0x80) return c >= 0x20 && c < 0x7F;
    constexpr std::array kHidden = {UTF8PROC_CATEGORY_CN, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CF, UTF8PROC_CATEGORY_CS,
                                    UTF8PROC_CATEGORY_CO, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZL, UTF8PROC_CATEGORY_ZP};
    return !has_category(c, kHidden);
}

bool is_lower(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_LL || is_in(kOtherLowercase, c); }
bool is_upper(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_LU || is_in(kOtherUppercase, c); }
bool is_identifier_start(char32_t c) { return c == '_' || is_alpha(c) || category_of(c) == UTF8PROC_CATEGORY_NL; }

bool is_identifier_part(char32_t c) {
    constexpr std::array kParts = {UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MC, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_ND};
    return is_identifier_start(c) || c == 0xB7 || has_category(c, kParts);
}

std::string to_lower(std::string_view text) {
    return mapped(text, [text](std::string& out, std::size_t at, char32_t c) { append_lower(out, text, at, c); });
}

std::string to_upper(std::string_view text) {
    return mapped(text, [](std::string& out, std::size_t /*at*/, char32_t c) { append_upper(out, c, Case::kUpper); });
}

std::string to_title(std::string_view text) {
    return mapped(text, [text, in_word = false](std::string& out, std::size_t at, char32_t c) mutable {
        in_word ? append_lower(out, text, at, c) : append_upper(out, c, Case::kTitle);
        in_word = is_cased(c);
    });
}

std::string to_capitalized(std::string_view text) {
    return mapped(text, [text](std::string& out, std::size_t at, char32_t c) {
        at > 0 ? append_lower(out, text, at, c) : append_upper(out, c, Case::kTitle);
    });
}

std::string_view strip_left(std::string_view text) {
    while (!text.empty() && is_space(code_point_at(text, 0).value)) text.remove_prefix(code_point_at(text, 0).size_bytes);
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
