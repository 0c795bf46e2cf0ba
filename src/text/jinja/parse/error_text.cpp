// Places and plain text in error messages.
#include "text/jinja/parse/error_text.h"

#include <fmt/format.h>

#include <utility>

namespace rafter::text::jinja {

Error located(const Error& error, std::string_view template_name, Position at) {
    return error.within(fmt::format("{}, line {}, column {}", template_name, at.line, at.column));
}

Error one_line(Error error) {
    constexpr std::size_t kMaxBytes = 2000;
    std::string& text = error.message;
    if (text.size() > kMaxBytes) {
        std::size_t end = kMaxBytes;
        // Between characters.
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
        text.resize(end);
        text += "...";
    }
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    }
    return error;
}

}  // namespace rafter::text::jinja
