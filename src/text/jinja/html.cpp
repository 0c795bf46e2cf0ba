// striptags and urlencode.
#include "text/jinja/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include "text/jinja/unicode.h"

namespace rafter::text::jinja {

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kEntities = {{
    {"amp", "&"},
    {"lt", "<"},
    {"gt", ">"},
    {"quot", "\""},
    {"apos", "'"},
    {"nbsp", "\u00A0"},
    {"copy", "\u00A9"},
    {"reg", "\u00AE"},
    {"hellip", "\u2026"},
    {"mdash", "\u2014"},
    {"ndash", "\u2013"},
    {"raquo", "\u00BB"},
    {"laquo", "\u00AB"},
    {"euro", "\u20AC"},
}};

// What stands between & and ; as a character; empty when it is none.
std::string character_of(std::string_view entity) {
    if (entity.starts_with('#')) {
        entity.remove_prefix(1);
        const bool hexadecimal = entity.starts_with('x') || entity.starts_with('X');
        if (hexadecimal) entity.remove_prefix(1);
        std::uint32_t code = 0;
        const auto read = std::from_chars(entity.data(), entity.data() + entity.size(), code, hexadecimal ? 16 : 10);
        std::string out;
        if (read.ec != std::errc() || read.ptr != entity.data() + entity.size()) return out;
        const bool valid = code > 0 && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        append_code_point(out, valid ? code : 0xFFFD);
        return out;
    }
    const auto* const found = std::find_if(kEntities.begin(), kEntities.end(), [&](const auto& row) { return row.first == entity; });
    return found == kEntities.end() ? "" : std::string(found->second);
}

std::string unescape(std::string_view html) {
    constexpr std::size_t kLongestEntity = 10;
    std::string out;
    while (!html.empty()) {
        const std::size_t ampersand = html.find('&');
        out += html.substr(0, ampersand);
        if (ampersand == std::string_view::npos) break;
        html.remove_prefix(ampersand);
        const std::size_t end = html.substr(0, kLongestEntity + 2).find(';');
        const std::string character = end == std::string_view::npos ? "" : character_of(html.substr(1, end - 1));
        out += character.empty() ? "&" : character;
        html.remove_prefix(character.empty() ? 1 : end + 1);
    }
    return out;
}

}  // namespace

std::string strip_tags(std::string_view html) {
    std::string bare;
    while (true) {
        const std::size_t begin = html.find('<');
        if (begin == std::string_view::npos) break;
        const bool comment = html.substr(begin).starts_with("<!--");
        const std::string_view mark = comment ? "-->" : ">";
        const std::size_t end = html.find(mark, comment ? begin + 4 : begin);
        if (end == std::string_view::npos) break;
        bare += html.substr(0, begin);
        html.remove_prefix(end + mark.size());
    }
    bare += html;
    std::string collapsed;
    for (std::string_view rest = strip(bare); !rest.empty();) {
        const CodePoint c = code_point_at(rest, 0);
        if (is_space(c.value)) {
            collapsed += ' ';
            rest = strip_left(rest);
        } else {
            collapsed += rest.substr(0, c.size_bytes);
            rest.remove_prefix(c.size_bytes);
        }
    }
    return unescape(collapsed);
}

std::string quote_url(std::string_view text, UrlPart part) {
    std::string out;
    for (const char c : text) {
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~';
        if (plain || (c == '/' && part == UrlPart::kPath)) {
            out += c;
        } else if (c == ' ' && part == UrlPart::kQuery) {
            out += '+';
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

}  // namespace rafter::text::jinja
