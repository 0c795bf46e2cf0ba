// By utf8proc's tables.
#include "text/hf/characters.h"

#include <utf8proc.h>

#include "text/code_range.h"

namespace rafter::text::hf {
namespace {

// Punctuation that is newer than Unicode 8.0, whose tables Hugging Face's tokenizers have.
constexpr CodeRange kNewPunctuation[] = {{0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},     {0xC84, 0xC84},
                                         {0x1B7D, 0x1B7E},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},   {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59},
                                         {0x10F86, 0x10F89}, {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C},
                                         {0x116B9, 0x116B9}, {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46},
                                         {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71},
                                         {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16E97, 0x16E9A},
                                         {0x16FE2, 0x16FE2}, {0x1E95E, 0x1E95F}};

utf8proc_category_t general_category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

}  // namespace

bool is_white_space(char32_t code) {
    return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_mark(char32_t code) {
    const utf8proc_category_t c = general_category(code);
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME;
}

bool is_number(char32_t code) {
    const utf8proc_category_t c = general_category(code);
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t code) {
    if (code < 0x80)
        return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
    const utf8proc_category_t c = general_category(code);
    // Two were punctuation in Unicode 8.0 and are none today.
    return code == 0x166D || code == 0x111C9 || (c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO && !is_in(kNewPunctuation, code));
}

bool is_word_part(char32_t code) {
    const utf8proc_category_t c = general_category(code);
    const bool is_letter = c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
    const bool is_circled_letter = (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
                                   (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
    return is_letter || is_mark(code) || c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_PC ||
           is_circled_letter || code == 0x200C || code == 0x200D;
}

Utf8Char character_before(std::string_view text, std::size_t end) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
    return utf8_char_at(text, begin);
}

std::pair<std::size_t, std::size_t> without_white_space(std::string_view text, bool left, bool right) {
    std::size_t begin = 0;
    std::size_t end = text.size();
    while (left && begin < end) {
        const Utf8Char c = utf8_char_at(text, begin);
        if (!is_white_space(c.code)) break;
        begin += c.size;
    }
    while (right && end > begin) {
        const Utf8Char c = character_before(text, end);
        if (!is_white_space(c.code)) break;
        end -= c.size;
    }
    return {begin, end};
}

}  // namespace rafter::text::hf
