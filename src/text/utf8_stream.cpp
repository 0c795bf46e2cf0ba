// Holds back what may yet become a character; everything else is passed on at once.
#include "text/utf8_stream.h"

#include <utility>

#include "text/utf8.h"

namespace rafter::text {

std::string Utf8Stream::push(std::string_view bytes) {
    const std::string joined = held_.empty() ? std::string() : std::exchange(held_, {}).append(bytes);
    const std::string_view text = joined.empty() ? bytes : std::string_view(joined);
    std::string shown;
    shown.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Char c = utf8_char_at(text, i);
        if (c.kind == Utf8Kind::kCutOff) {
            held_ = text.substr(i);
            break;
        }
        shown += c.kind == Utf8Kind::kCharacter ? text.substr(i, c.size) : kReplacementCharacter;
        i += c.size;
    }
    return shown;
}

std::string Utf8Stream::finish() {
    const std::string shown(held_.empty() ? std::string_view() : kReplacementCharacter);
    held_.clear();
    return shown;
}

std::string valid_utf8(std::string_view text) {
    Utf8Stream characters;
    std::string valid = characters.push(text);
    valid += characters.finish();
    return valid;
}

}  // namespace rafter::text
