// Visible Latin-1 characters stand for themselves; the other 68 bytes, in order, are the characters from U+0100 on.
#include "text/byte_alphabet.h"

#include "text/utf8.h"

namespace rafter::text {

ByteAlphabet::ByteAlphabet() {
    char32_t next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const bool visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        const char32_t code = visible ? byte : next++;
        append_utf8(spelled_[byte], code);
        byte_of_[code] = static_cast<unsigned char>(byte);
    }
}

std::optional<std::string> ByteAlphabet::decode(std::string_view spelled) const {
    std::string bytes;
    for (std::size_t i = 0; i < spelled.size();) {
        const Utf8Char c = utf8_char_at(spelled, i);
        if (c.code >= kEnd || !byte_of_[c.code]) return std::nullopt;
        bytes.push_back(static_cast<char>(*byte_of_[c.code]));
        i += c.size;
    }
    return bytes;
}

}  // namespace rafter::text
