// See quote.h.
#include "base/quote.h"

#include <fmt/format.h>

namespace rafter {
namespace {

constexpr std::size_t kMaxShown = 96;

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += fmt::format("\\x{:02x}", byte);
        }
    }
}

}  // namespace

std::string quote(std::string_view untrusted) {
    std::string out = "\"";
    if (untrusted.size() <= kMaxShown) {
        append_escaped(out, untrusted);
    } else {
        append_escaped(out, untrusted.substr(0, kMaxShown / 2));
        out += "...";
        append_escaped(out, untrusted.substr(untrusted.size() - kMaxShown / 4));
    }
    return out + '"';
}

}  // namespace rafter
