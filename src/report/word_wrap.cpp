// Widths follow Unicode's East_Asian_Width (https://www.unicode.org/reports/tr11/), in ranges wide enough for a terminal.
#include "report/word_wrap.h"

#include <algorithm>
#include <iterator>

namespace rafter::report {
namespace {

struct Range {
    char32_t first, last;
};
constexpr Range kNoWidth[] = {{0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},     {0x64B, 0x65F},    {0x900, 0x902},
                              {0x93C, 0x93C},   {0x941, 0x948},   {0x94D, 0x94D},   {0xE31, 0xE31},     {0xE34, 0xE3A},    {0xE47, 0xE4E},
                              {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x202A, 0x202E},   {0x2060, 0x2064},  {0x20D0, 0x20FF},
                              {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF}, {0xE0100, 0xE01EF}};
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},   {0x26A1, 0x26A1},
                           {0x26BD, 0x26BE},   {0x2705, 0x2705},   {0x2728, 0x2728},   {0x274C, 0x274C},   {0x2753, 0x2755},
                           {0x2B50, 0x2B50},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
                           {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                           {0x1F680, 0x1F6FF}, {0x1F7E0, 0x1F7EB}, {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD}};
// They never begin a line: closing marks of East Asian text.
constexpr char32_t kClosing[] = {0x3001, 0x3002, 0x300D, 0x300F, 0x3011, 0xFF01, 0xFF09, 0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F};

template <std::size_t n>
bool is_in(const Range (&ranges)[n], char32_t c) {
    const auto* range = std::upper_bound(std::begin(ranges), std::end(ranges), c, [](char32_t x, const Range& r) { return x < r.first; });
    return range != std::begin(ranges) && c <= (range - 1)->last;
}

bool breaks_before(char32_t c) {
    return character_width(c) == 2 && std::find(std::begin(kClosing), std::end(kClosing), c) == std::end(kClosing);
}

}  // namespace

unsigned character_width(char32_t character) {
    if (is_in(kNoWidth, character)) return 0;
    return is_in(kWide, character) ? 2 : 1;
}

std::string WordWrap::push(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto lead = static_cast<unsigned char>(text[0]);
        const std::size_t wanted = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        const std::string_view bytes = text.substr(0, wanted);
        char32_t character = wanted == 1 ? lead : lead & (0x7FU >> wanted);
        for (const char byte : bytes.substr(1)) character = character << 6U | (static_cast<unsigned char>(byte) & 0x3FU);
        take(character, bytes, out);
        text.remove_prefix(bytes.size());
    }
    if (is_code_) end_word(out);
    return out;
}

std::string WordWrap::finish() {
    std::string out;
    end_word(out);
    column_ = n_spaces_ = 0;
    line_begin_.clear();
    is_code_ = false;
    return out;
}

void WordWrap::take(char32_t character, std::string_view bytes, std::string& out) {
    if (character == '\n') return end_line(out);
    if (character == ' ' || character == '\t') {
        end_word(out);
        n_spaces_ += character == ' ' ? 1 : 8 - (column_ + n_spaces_) % 8;
        return;
    }
    if (line_begin_.size() < 3) line_begin_ += bytes;
    if (character < 0x20 || character == 0x7F) {
        word_ += {'^', static_cast<char>(character ^ 0x40U)};
        word_width_ += 2;
    } else if (character >= 0x80 && character < 0xA0) {
        word_ += "\xEF\xBF\xBD";
        word_width_ += 1;
    } else {
        if (breaks_before(character)) end_word(out);
        word_ += bytes;
        word_width_ += character_width(character);
    }
}

void WordWrap::end_line(std::string& out) {
    end_word(out);
    if (is_code_) out.append(n_spaces_, ' ');
    out += '\n';
    column_ = n_spaces_ = 0;
    if (line_begin_ == "```") is_code_ = !is_code_;
    line_begin_.clear();
}

void WordWrap::end_word(std::string& out) {
    if (word_.empty()) return;
    if (!is_code_ && column_ > 0 && column_ + n_spaces_ + word_width_ > columns_) {
        out += '\n';
        column_ = 0;
    } else {
        out.append(n_spaces_, ' ');
        column_ += n_spaces_;
    }
    n_spaces_ = 0;
    out += word_;
    column_ += word_width_;
    // The terminal itself breaks a word that is longer than a line.
    if (columns_ > 0 && column_ > columns_) column_ = (column_ - 1) % columns_ + 1;
    word_.clear();
    word_width_ = 0;
}

}  // namespace rafter::report
