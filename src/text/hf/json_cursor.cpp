// See json_cursor.h. Texts are looked at byte by byte: they are a few bytes long.
#include "text/hf/json_cursor.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "text/utf8.h"

namespace rafter::text::hf {
namespace {

constexpr std::uint8_t kStops = 1;     // ends or interrupts a text: quote, backslash, control characters
constexpr std::uint8_t kNoAscii = 2;   // part of a longer character
constexpr std::uint8_t kBracket = 4;   // nests a value, or starts a text
constexpr std::uint8_t kEndsWord = 8;  // ends a number or a word

constexpr std::array<std::uint8_t, 256> kClasses = [] {
    std::array<std::uint8_t, 256> classes{};
    for (std::size_t c = 0; c < 0x20; ++c) classes[c] |= kStops;
    for (std::size_t c = 0x80; c < 0x100; ++c) classes[c] |= kNoAscii;
    for (const unsigned char c : {'"', '\\'}) classes[c] |= kStops;
    for (const unsigned char c : {'"', '[', ']', '{', '}'}) classes[c] |= kBracket;
    for (const unsigned char c : {',', ':', ']', '}', '[', '{', '"', ' ', '\t', '\n', '\r'}) classes[c] |= kEndsWord;
    return classes;
}();

std::uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void JsonCursor::skip_space() {
    while (at_ < json_.size() && (json_[at_] == ' ' || json_[at_] == '\n' || json_[at_] == '\t' || json_[at_] == '\r')) ++at_;
}

bool JsonCursor::at_end() {
    skip_space();
    return at_ == json_.size();
}

bool JsonCursor::take(char punctuation) {
    if (at_end() || json_[at_] != punctuation) return false;
    ++at_;
    return true;
}

std::optional<char32_t> JsonCursor::take_hex() {
    constexpr std::size_t kDigits = 4;
    if (json_.size() - at_ < kDigits) return std::nullopt;
    unsigned code = 0;
    const char* const first = json_.data() + at_;
    if (std::from_chars(first, first + kDigits, code, 16).ptr != first + kDigits) return std::nullopt;
    at_ += kDigits;
    return code;
}

// What follows a backslash.
bool JsonCursor::append_escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (at_ == json_.size()) return false;
    const char name = json_[at_++];
    if (const std::size_t i = kNames.find(name); i != std::string_view::npos) {
        out += kMeant[i];
        return true;
    }
    if (name != 'u') return false;
    std::optional<char32_t> code = take_hex();
    if (!code || (*code >= 0xDC00 && *code < 0xE000)) return false;
    if (*code >= 0xD800 && *code < 0xDC00) {  // the first half of a pair
        if (!json_.substr(at_).starts_with("\\u")) return false;
        at_ += 2;
        const std::optional<char32_t> low = take_hex();
        if (!low || *low < 0xDC00 || *low >= 0xE000) return false;
        code = 0x10000 + ((*code - 0xD800) << 10U) + (*low - 0xDC00);
    }
    append_utf8(out, *code);
    return true;
}

std::optional<std::string_view> JsonCursor::take_text(std::string& resolved) {
    if (at_end() || json_[at_] != '"') return std::nullopt;
    const std::size_t start = at_++;
    const auto refused = [&] {
        at_ = start;
        return std::nullopt;
    };
    bool is_resolved = false;  // what lies before `from` is in `resolved`
    std::size_t from = at_;
    std::uint8_t classes = 0;
    for (;;) {
        while (at_ < json_.size() && (class_of(json_[at_]) & kStops) == 0) classes |= class_of(json_[at_++]);
        if (at_ == json_.size()) return refused();
        const std::string_view part = json_.substr(from, at_ - from);
        const char stop = json_[at_++];
        if (stop == '"' && !is_resolved) {
            if ((classes & kNoAscii) != 0 && find_invalid_utf8(part) != part.size()) return refused();
            return part;
        }
        if (!is_resolved) resolved.clear();
        is_resolved = true;
        resolved += part;
        if (stop == '"') break;
        if (stop != '\\' || !append_escape(resolved)) return refused();
        from = at_;
    }
    if ((classes & kNoAscii) != 0 && find_invalid_utf8(json_.substr(start, at_ - start)) != at_ - start) return refused();
    return resolved;
}

std::optional<std::uint64_t> JsonCursor::take_count() {
    if (at_end() || !is_digit(json_[at_])) return std::nullopt;
    const char* const first = json_.data() + at_;
    const char* const end = json_.data() + json_.size();
    std::uint64_t count = 0;
    const auto [last, error] = std::from_chars(first, end, count);
    const bool is_whole = last == end || (class_of(*last) & kEndsWord) != 0;
    if (error != std::errc() || !is_whole || (*first == '0' && last > first + 1)) return std::nullopt;
    at_ += static_cast<std::size_t>(last - first);
    return count;
}

// Behind the opening quote: to behind the closing one.
bool JsonCursor::skip_text() {
    while (at_ < json_.size()) {
        while (at_ < json_.size() && (class_of(json_[at_]) & kStops) == 0) ++at_;
        if (at_ == json_.size()) return false;
        const char stop = json_[at_++];
        if (stop == '"') return true;
        if (stop != '\\' || at_ == json_.size()) return false;
        ++at_;
    }
    return false;
}

std::optional<std::string_view> JsonCursor::take_value() {
    if (at_end()) return std::nullopt;
    const std::size_t start = at_;
    std::array<char, kMaxDepth> open{};  // the brackets that close what is open
    std::size_t depth = 0;
    bool is_valid = true;
    do {
        if (depth > 0) {
            while (at_ < json_.size() && (class_of(json_[at_]) & kBracket) == 0) ++at_;
            if (at_ == json_.size()) break;
        }
        const char c = json_[at_];
        if (c == '"') {
            ++at_;
            is_valid = skip_text();
        } else if (c == '[' || c == '{') {
            is_valid = depth < kMaxDepth;
            if (is_valid) open[depth++] = c == '[' ? ']' : '}';
            ++at_;
        } else if (depth > 0) {
            is_valid = c == open[--depth];
            ++at_;
        } else {
            while (at_ < json_.size() && (class_of(json_[at_]) & kEndsWord) == 0) ++at_;
            is_valid = at_ > start;
        }
    } while (is_valid && depth > 0);
    if (is_valid && depth == 0) return json_.substr(start, at_ - start);
    at_ = start;
    return std::nullopt;
}

}  // namespace rafter::text::hf
