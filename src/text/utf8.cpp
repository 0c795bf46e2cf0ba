// UTF-8 decoding by the ranges that table 3-7 of the Unicode Standard gives for each lead byte.
#include "text/utf8.h"

#include <cstdint>
#include <cstring>

namespace rafter::text {
namespace {

struct Lead {
    unsigned size;             // of the whole sequence; 0 when no sequence starts so
    unsigned char low, high;   // the second byte's range
    unsigned char value_mask;  // the lead byte's bits of the code point
};

Lead lead_of(unsigned char byte) {
    if (byte < 0xC2) return {0, 0, 0, 0};
    if (byte < 0xE0) return {2, 0x80, 0xBF, 0x1F};
    if (byte == 0xE0) return {3, 0xA0, 0xBF, 0x0F};
    if (byte == 0xED) return {3, 0x80, 0x9F, 0x0F};  // above lie the surrogates
    if (byte < 0xF0) return {3, 0x80, 0xBF, 0x0F};
    if (byte == 0xF0) return {4, 0x90, 0xBF, 0x07};
    if (byte < 0xF4) return {4, 0x80, 0xBF, 0x07};
    if (byte == 0xF4) return {4, 0x80, 0x8F, 0x07};
    return {0, 0, 0, 0};
}

}  // namespace

Utf8Char utf8_char_at(std::string_view text, std::size_t begin) {
    const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte_at(begin);
    if (first < 0x80) return {first, 1, Utf8Kind::kCharacter};
    const Lead lead = lead_of(first);
    if (lead.size == 0) return {0xFFFD, 1, Utf8Kind::kInvalid};
    char32_t code = first & lead.value_mask;
    for (unsigned i = 1; i < lead.size; ++i) {
        if (begin + i >= text.size()) return {0xFFFD, i, Utf8Kind::kCutOff};
        const unsigned char byte = byte_at(begin + i);
        const unsigned char low = i == 1 ? lead.low : 0x80;
        const unsigned char high = i == 1 ? lead.high : 0xBF;
        if (byte < low || byte > high) return {0xFFFD, i, Utf8Kind::kInvalid};
        code = code << 6 | (byte & 0x3F);
    }
    return {code, lead.size, Utf8Kind::kCharacter};
}

std::size_t find_invalid_utf8(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size()) {
        if (i + 8 <= text.size()) {  // most text is ASCII: eight bytes at a time
            std::uint64_t word;
            std::memcpy(&word, text.data() + i, 8);
            if ((word & 0x8080808080808080) == 0) {
                i += 8;
                continue;
            }
        }
        const Utf8Char c = utf8_char_at(text, i);
        if (c.kind != Utf8Kind::kCharacter) return i;
        i += c.size;
    }
    return text.size();
}

void append_utf8(std::string& out, char32_t code) {
    const auto tail = [&](unsigned shift) { out.push_back(static_cast<char>(0x80 | (code >> shift & 0x3F))); };
    if (code < 0x80) {
        out.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
        out.push_back(static_cast<char>(0xC0 | code >> 6));
        tail(0);
    } else if (code < 0x10000) {
        out.push_back(static_cast<char>(0xE0 | code >> 12));
        tail(6);
        tail(0);
    } else {
        out.push_back(static_cast<char>(0xF0 | code >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

}  // namespace rafter::text
