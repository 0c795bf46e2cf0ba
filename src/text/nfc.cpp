// Only stretches in which something may change are taken apart, sorted and composed; the rest is copied as it stands.
#include "text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "text/code_range.h"
#include "text/utf8.h"

namespace rafter::text {
namespace {

// Every code point below is a starter in this form already: only one from here on can change it, or what stands before it.
constexpr char32_t first_that_changes(UnicodeForm form) {
    switch (form) {
        case UnicodeForm::kNfc:
            return 0x300;
        case UnicodeForm::kNfd:
            return 0xC0;
        case UnicodeForm::kNfkc:
        case UnicodeForm::kNfkd:
            return 0xA0;
    }
    return 0;
}

// Nothing composes or moves across these: marks newer than Unicode 9.0, which have no properties there, and U+11A7, which is no jamo but
// which utf8proc takes for one.
constexpr CodeRange kLeftAlone[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},
    {0xEBA, 0xEBA},     {0x11A7, 0x11A7},   {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
    {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070},
    {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
};

// Characters newer than Unicode 9.0 that stand for others, which the forms with K write out.
constexpr CodeRange kLeftAloneByCompatibility[] = {{0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xAB69, 0xAB69},  {0x10781, 0x107BA},
                                                   {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool is_compatibility(UnicodeForm form) { return form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd; }
bool is_composed(UnicodeForm form) { return form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc; }

utf8proc_option_t options_of(UnicodeForm form) {
    return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (is_composed(form) ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                          (is_compatibility(form) ? UTF8PROC_COMPAT : 0));
}

constexpr std::uint16_t kNoSequence = UINT16_MAX;  // how utf8proc's properties say that a code point is in none

bool is_left_alone(UnicodeForm form, char32_t code) {
    return is_in(kLeftAlone, code) || (is_compatibility(form) && is_in(kLeftAloneByCompatibility, code));
}

bool is_hangul(char32_t code) { return (code >= 0x1100 && code <= 0x11FF) || (code >= 0xAC00 && code <= 0xD7A3); }

std::uint16_t combining_class(utf8proc_int32_t code) { return static_cast<std::uint16_t>(utf8proc_get_property(code)->combining_class); }

// Whether the code point neither decomposes, composes with a neighbour, nor moves: a stretch ends before it.
bool is_inert(UnicodeForm form, char32_t code) {
    const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
    const bool has_own_form = p->decomp_seqindex == kNoSequence && p->comb_index == kNoSequence && p->combining_class == 0;
    return (has_own_form && !is_hangul(code)) || is_left_alone(form, code);
}

// Appends the stretch, which is valid UTF-8.
void append_normalized(UnicodeForm form, std::string_view stretch, std::vector<utf8proc_int32_t>& points, std::string& out) {
    points.clear();
    for (std::size_t i = 0; i < stretch.size();) {
        const Utf8Char c = utf8_char_at(stretch, i);
        i += c.size;
        utf8proc_int32_t parts[32];  // no decomposition has more than 18
        int boundary = 0;
        const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts, std::size(parts), options_of(form), &boundary);
        points.insert(points.end(), parts, parts + std::clamp<utf8proc_ssize_t>(n, 0, std::size(parts)));
    }
    // utf8proc's own decomposition of a whole text sorts marks in quadratic time.
    const auto is_mark = [](utf8proc_int32_t code) { return combining_class(code) != 0; };
    for (auto begin = std::ranges::find_if(points, is_mark); begin != points.end();) {
        const auto end = std::find_if_not(begin, points.end(), is_mark);
        std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) { return combining_class(a) < combining_class(b); });
        begin = std::find_if(end, points.end(), is_mark);
    }
    const utf8proc_ssize_t n = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()), options_of(form));
    for (utf8proc_ssize_t i = 0; i < n; ++i) append_utf8(out, static_cast<char32_t>(points[static_cast<std::size_t>(i)]));
}

}  // namespace

std::string_view to_nfc(std::string_view text, std::string& buffer) { return to_form(UnicodeForm::kNfc, text, buffer); }

std::string_view to_form(UnicodeForm form, std::string_view text, std::string& buffer) {
    const char32_t first = first_that_changes(form);
    std::string lead_byte;
    append_utf8(lead_byte, first);
    const auto may_change = [&](char byte) { return static_cast<unsigned char>(byte) >= static_cast<unsigned char>(lead_byte.front()); };
    if (std::ranges::none_of(text, may_change)) return text;
    buffer.clear();
    std::vector<utf8proc_int32_t> points;
    std::size_t begin = 0;  // of the stretch
    bool changes = false;   // something in the stretch may
    const auto end_stretch = [&](std::size_t end) {
        const std::string_view stretch = text.substr(begin, end - begin);
        changes ? append_normalized(form, stretch, points, buffer) : void(buffer.append(stretch));
        begin = end;
        changes = false;
    };
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Char c = utf8_char_at(text, i);
        if (c.kind != Utf8Kind::kCharacter || (c.code >= first && is_inert(form, c.code))) {
            end_stretch(i);
            buffer.append(text, i, c.size);
            begin = i + c.size;
        } else {
            changes |= c.code >= first;
        }
        i += c.size;
    }
    end_stretch(text.size());
    return buffer;
}

}  // namespace rafter::text
