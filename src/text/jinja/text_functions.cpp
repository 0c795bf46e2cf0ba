// The workings of Python's string methods that filters share: strip, splitlines, replace, center.
#include <algorithm>
#include <string>
#include <vector>

#include "text/jinja/methods.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace rafter::text::jinja {

namespace {

// Where Python's splitlines() ends a line.
bool is_line_end(char32_t c) { return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029; }

}  // namespace

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
    std::vector<std::string_view> lines;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        const std::size_t end = at;
        at += c.size_bytes;
        if (!is_line_end(c.value)) continue;
        if (c.value == '\r' && at < text.size() && text[at] == '\n') ++at;
        lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
        begin = at;
    }
    if (begin < text.size()) lines.push_back(text.substr(begin));
    return lines;
}

std::string_view strip_characters(std::string_view text, std::string_view characters, Side side) {
    std::u32string set;
    for (std::size_t at = 0; at < characters.size();) {
        const CodePoint c = code_point_at(characters, at);
        set += c.value;
        at += c.size_bytes;
    }
    std::sort(set.begin(), set.end());
    const auto stripped = [&](char32_t c) { return std::binary_search(set.begin(), set.end(), c); };
    while (side != Side::kRight && !text.empty()) {
        const CodePoint c = code_point_at(text, 0);
        if (!stripped(c.value)) break;
        text.remove_prefix(c.size_bytes);
    }
    while (side != Side::kLeft && !text.empty()) {
        const CodePoint c = code_point_before(text, text.size());
        if (!stripped(c.value)) break;
        text.remove_suffix(c.size_bytes);
    }
    return text;
}

Result<std::string> replace_text(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                                 std::int64_t max_count) {
    std::string out;
    std::size_t begin = 0;
    std::size_t checked_bytes = text.size() + 4096;
    RAFTER_TRY_VOID(runtime.reserve(checked_bytes));
    for (std::int64_t n = 0; max_count < 0 || n < max_count; ++n) {
        std::size_t at = 0;
        if (from.empty()) {
            // Before every character, and at the end.
            if (n > 0) {
                if (begin >= text.size()) break;
                const std::size_t size_bytes = code_point_at(text, begin).size_bytes;
                out += text.substr(begin, size_bytes);
                begin += size_bytes;
            }
            out += to;
        } else {
            at = find_text(text, from, begin);
            if (at == std::string_view::npos) break;
            out += text.substr(begin, at - begin);
            out += to;
            begin = at + from.size();
        }
        if (out.size() > checked_bytes) {
            checked_bytes = out.size() * 2;
            RAFTER_TRY_VOID(runtime.reserve(checked_bytes));
        }
    }
    out += text.substr(begin);
    return out;
}

Result<std::string> center_text(Runtime& runtime, std::string_view text, std::int64_t width, std::string_view fill) {
    const auto size = static_cast<std::int64_t>(count_code_points(text));
    if (width <= size) return std::string(text);
    const std::int64_t n_fill = width - size;
    // Once alone, for the product may overflow.
    RAFTER_TRY_VOID(runtime.reserve(static_cast<std::size_t>(n_fill)));
    RAFTER_TRY_VOID(runtime.reserve(text.size() + static_cast<std::size_t>(n_fill) * fill.size()));
    // An odd blank goes left when the width is odd.
    const std::int64_t left = n_fill / 2 + (n_fill & width & 1);
    std::string out;
    for (std::int64_t i = 0; i < left; ++i) out += fill;
    out += text;
    for (std::int64_t i = left; i < n_fill; ++i) out += fill;
    return out;
}

}  // namespace rafter::text::jinja
