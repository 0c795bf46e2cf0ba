// Python's string methods. Positions are in code points, for the template and for the error messages alike.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace rafter::text::jinja {

namespace {

using Call = const Arguments&;

// The part of a string between two optional positions. `first` is the index of its first code point.
struct Window {
    std::string_view text;
    std::int64_t first = 0;
};

// nullopt when the start lies behind the end, where not even "" is found.
Result<std::optional<Window>> window(const Value& self, const Bound& bound) {
    const auto size = static_cast<std::int64_t>(n_code_points(self));
    const auto position = [&](std::size_t i, std::int64_t otherwise) -> Result<std::int64_t> {
        if (!bound.has_value(i)) return otherwise;
        RAFTER_TRY(const std::int64_t given, bound.integer(i));
        return given < 0 ? std::max<std::int64_t>(given + size, 0) : given;
    };
    RAFTER_TRY(const std::int64_t start, position(1, 0));
    RAFTER_TRY(std::int64_t stop, position(2, size));
    stop = std::min(stop, size);
    if (start > stop) return std::optional<Window>();
    std::string_view text = text_of(self);
    text.remove_prefix(byte_offset(text, static_cast<std::size_t>(start)));
    return std::optional<Window>(Window{text.substr(0, byte_offset(text, static_cast<std::size_t>(stop - start))), start});
}

template <std::string (*Convert)(std::string_view)>
Result<Value> converted(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "str method", {}));
    return runtime.string_like(self, Convert(text_of(self)));
}

template <bool (*Is)(char32_t)>
Result<Value> all_are(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "str method", {}));
    const std::string_view text = text_of(self);
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (!Is(c.value)) return Value::boolean(false);
        at += c.size_bytes;
    }
    return Value::boolean(!text.empty());
}

// islower() and isupper(): at least one letter of the case, none of the others.
template <bool (*Is)(char32_t), bool (*IsOther)(char32_t)>
Result<Value> case_is(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "str method", {}));
    const std::string_view text = text_of(self);
    bool any = false;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (IsOther(c.value) || is_title(c.value)) return Value::boolean(false);
        any = any || Is(c.value);
        at += c.size_bytes;
    }
    return Value::boolean(any);
}

Result<Value> is_title_text(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "str.istitle", {}));
    const std::string_view text = text_of(self);
    bool any = false;
    bool in_word = false;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        const bool begins = is_upper(c.value) || is_title(c.value);
        if (begins ? in_word : (is_lower(c.value) && !in_word)) return Value::boolean(false);
        in_word = begins || is_lower(c.value);
        any = any || in_word;
        at += c.size_bytes;
    }
    return Value::boolean(any);
}

Result<Value> is_ascii(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "str.isascii", {}));
    return Value::boolean(n_code_points(self) == text_of(self).size());
}

bool printable(char32_t c) { return is_printable(c); }

Result<Value> is_printable_text(Runtime& runtime, const Value& self, Call call) {
    if (text_of(self).empty()) return Value::boolean(true);
    return all_are<printable>(runtime, self, call);
}

Result<Value> is_identifier(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "str.isidentifier", {}));
    const std::string_view text = text_of(self);
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (at == 0 ? !is_identifier_start(c.value) : !is_identifier_part(c.value)) return Value::boolean(false);
        at += c.size_bytes;
    }
    return Value::boolean(!text.empty());
}

template <Side kSide>
Result<Value> strip_method(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.strip", {"chars"}));
    if (bound.has_value(0)) {
        RAFTER_TRY(const std::string_view characters, bound.text(0));
        return runtime.string_like(self, std::string(strip_characters(text_of(self), characters, kSide)));
    }
    std::string_view text = text_of(self);
    if (kSide != Side::kRight) text = strip_left(text);
    if (kSide != Side::kLeft) text = strip_right(text);
    return runtime.string_like(self, std::string(text));
}

Result<Value> strings(Runtime& runtime, const Value& self, const std::vector<std::string_view>& parts) {
    RAFTER_TRY_VOID(runtime.reserve(parts.size() * (sizeof(StringObject) + sizeof(Value))));
    std::vector<Value> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) items.push_back(runtime.string_like(self, std::string(part)));
    return runtime.list(std::move(items));
}

std::vector<std::string_view> split_at_spaces(std::string_view text, std::int64_t max_splits) {
    std::vector<std::string_view> parts;
    text = strip_left(text);
    while (!text.empty()) {
        if (max_splits >= 0 && static_cast<std::int64_t>(parts.size()) == max_splits) {
            parts.push_back(text);
            break;
        }
        std::size_t end = 0;
        while (end < text.size() && !is_space(code_point_at(text, end).value)) end += code_point_at(text, end).size_bytes;
        parts.push_back(text.substr(0, end));
        text = strip_left(text.substr(end));
    }
    return parts;
}

std::vector<std::string_view> split_at_spaces_from_right(std::string_view text, std::int64_t max_splits) {
    std::vector<std::string_view> parts;
    text = strip_right(text);
    while (!text.empty()) {
        if (max_splits >= 0 && static_cast<std::int64_t>(parts.size()) == max_splits) {
            parts.push_back(text);
            break;
        }
        std::size_t begin = text.size();
        while (begin > 0 && !is_space(code_point_before(text, begin).value)) begin -= code_point_before(text, begin).size_bytes;
        parts.push_back(text.substr(begin));
        text = strip_right(text.substr(0, begin));
    }
    return {parts.rbegin(), parts.rend()};
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, std::int64_t max_splits) {
    std::vector<std::string_view> parts;
    while (max_splits < 0 || static_cast<std::int64_t>(parts.size()) < max_splits) {
        const std::size_t at = find_text(text, separator);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(0, at));
        text.remove_prefix(at + separator.size());
    }
    parts.push_back(text);
    return parts;
}

std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator, std::int64_t max_splits) {
    // Forwards through the reversed text: the search is linear only in that direction.
    const std::string reversed(text.rbegin(), text.rend());
    const std::string reversed_separator(separator.rbegin(), separator.rend());
    std::vector<std::string_view> parts;
    std::size_t end = text.size();
    while (max_splits < 0 || static_cast<std::int64_t>(parts.size()) < max_splits) {
        const std::size_t at = find_text(reversed, reversed_separator, text.size() - end);
        if (at == std::string_view::npos) break;
        const std::size_t begin = text.size() - at;  // of the part behind the separator
        parts.push_back(text.substr(begin, end - begin));
        end = begin - separator.size();
    }
    parts.push_back(text.substr(0, end));
    return {parts.rbegin(), parts.rend()};
}

template <Side kFrom>
Result<Value> split_method(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.split", {"sep", "maxsplit"}));
    RAFTER_TRY(const std::int64_t max_splits, bound.integer_or(1, -1));
    RAFTER_TRY_VOID(runtime.spend(weight_of(self)));
    const std::string_view text = text_of(self);
    if (!bound.has_value(0)) {
        return strings(runtime, self,
                       kFrom == Side::kLeft ? split_at_spaces(text, max_splits) : split_at_spaces_from_right(text, max_splits));
    }
    RAFTER_TRY(const std::string_view separator, bound.text(0));
    if (separator.empty()) return bad_input("str.split: empty separator");
    return strings(runtime, self,
                   kFrom == Side::kLeft ? split_at(text, separator, max_splits) : split_at_from_right(text, separator, max_splits));
}

Result<Value> splitlines(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.splitlines", {"keepends"}));
    return strings(runtime, self, split_lines(text_of(self), bound.truth_or(0, false)));
}

template <Side kFrom>
Result<Value> partition(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.partition", {"sep"}, 1));
    RAFTER_TRY(const std::string_view separator, bound.text(0));
    if (separator.empty()) return bad_input("str.partition: empty separator");
    const std::string_view text = text_of(self);
    const std::size_t at = kFrom == Side::kLeft ? find_text(text, separator) : find_last_text(text, separator);
    std::array<std::string_view, 3> parts;
    if (at != std::string_view::npos) {
        parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
    } else {
        parts[kFrom == Side::kLeft ? 0 : 2] = text;
    }
    std::vector<Value> items;
    for (const std::string_view part : parts) items.push_back(runtime.string_like(self, std::string(part)));
    return runtime.tuple(std::move(items));
}

enum class End { kStart, kEnd };

bool matches(std::string_view text, std::string_view affix, End end) {
    return end == End::kStart ? text.starts_with(affix) : text.ends_with(affix);
}

template <End kEnd>
Result<Value> has_affix(Runtime&, const Value& self, Call call) {
    const std::string_view name = kEnd == End::kStart ? "str.startswith" : "str.endswith";
    RAFTER_TRY(const Bound bound, bind(call, name, {"affix", "start", "end"}, 1));
    RAFTER_TRY(const auto part, window(self, bound));
    if (bound[0].is(Type::kTuple)) {
        for (const Value& affix : items_of(bound[0])) {
            if (!affix.is(Type::kString)) return wrong_type("a tuple of strings", affix).within(name);
            if (part && matches(part->text, text_of(affix), kEnd)) return Value::boolean(true);
        }
        return Value::boolean(false);
    }
    RAFTER_TRY(const std::string_view affix, bound.text(0));
    return Value::boolean(part && matches(part->text, affix, kEnd));
}

template <End kEnd>
Result<Value> remove_affix(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, kEnd == End::kStart ? "str.removeprefix" : "str.removesuffix", {"affix"}, 1));
    RAFTER_TRY(const std::string_view affix, bound.text(0));
    std::string_view text = text_of(self);
    if (matches(text, affix, kEnd)) text = kEnd == End::kStart ? text.substr(affix.size()) : text.substr(0, text.size() - affix.size());
    return runtime.string_like(self, std::string(text));
}

enum class IfAbsent { kMinusOne, kError };

template <Side kFrom, IfAbsent kIfAbsent>
Result<Value> find_method(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.find", {"sub", "start", "end"}, 1));
    RAFTER_TRY(const std::string_view needle, bound.text(0));
    RAFTER_TRY(const auto part, window(self, bound));
    RAFTER_TRY_VOID(runtime.spend(weight_of(self)));
    std::size_t at = std::string_view::npos;
    if (part) at = kFrom == Side::kLeft ? find_text(part->text, needle) : find_last_text(part->text, needle);
    if (at != std::string_view::npos)
        return Value::integer(part->first + static_cast<std::int64_t>(count_code_points(part->text.substr(0, at))));
    if (kIfAbsent == IfAbsent::kError) return bad_input("str.index: substring not found");
    return Value::integer(-1);
}

Result<Value> count(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.count", {"sub", "start", "end"}, 1));
    RAFTER_TRY(const std::string_view needle, bound.text(0));
    RAFTER_TRY(const auto part, window(self, bound));
    RAFTER_TRY_VOID(runtime.spend(weight_of(self)));
    if (!part) return Value::integer(0);
    if (needle.empty()) return Value::integer(static_cast<std::int64_t>(count_code_points(part->text)) + 1);
    std::int64_t n = 0;
    for (std::size_t at = find_text(part->text, needle); at != std::string_view::npos;
         at = find_text(part->text, needle, at + needle.size()))
        ++n;
    return Value::integer(n);
}

Result<Value> replace(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.replace", {"old", "new", "count"}, 2));
    RAFTER_TRY(const std::string_view from, bound.text(0));
    RAFTER_TRY(const std::string_view to, bound.text(1));
    RAFTER_TRY(const std::int64_t max_count, bound.integer_or(2, -1));
    const std::string replacement = is_markup(self) && !is_markup(bound[1]) ? escape_html(to) : std::string(to);
    RAFTER_TRY(std::string text, replace_text(runtime, text_of(self), from, replacement, max_count));
    return runtime.string_like(self, std::move(text));
}

Result<Value> join(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.join", {"iterable"}, 1));
    RAFTER_TRY(const std::vector<Value> items, to_vector(runtime, bound[0]));
    std::string out;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const Value& item = items[i];
        if (is_markup(self)) {
            RAFTER_TRY(const std::string text, to_text(runtime, item));
            if (i > 0) out += text_of(self);
            out += is_markup(item) ? text : escape_html(text);
        } else {
            if (!item.is(Type::kString)) return bad_input("str.join: item {}: expected a string, found {}", i, type_name(item));
            RAFTER_TRY_VOID(runtime.grow(out, text_of(self).size() + text_of(item).size()));
            if (i > 0) out += text_of(self);
            out += text_of(item);
        }
    }
    return runtime.string_like(self, std::move(out));
}

enum class Align { kLeft, kRight, kCenter };

template <Align kAlign>
Result<Value> justify(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.ljust", {"width", "fillchar"}, 1));
    RAFTER_TRY(const std::int64_t width, bound.integer(0));
    RAFTER_TRY(const std::string_view fill, bound.text_or(1, " "));
    if (count_code_points(fill) != 1) return bad_input("The fill character must be exactly one character long");
    if (kAlign == Align::kCenter) {
        RAFTER_TRY(std::string text, center_text(runtime, text_of(self), width, fill));
        return runtime.string_like(self, std::move(text));
    }
    RAFTER_TRY(std::string text, format_text(runtime, text_of(self),
                                             {.fill = std::string(fill), .align = kAlign == Align::kLeft ? '<' : '>', .width = width}));
    return runtime.string_like(self, std::move(text));
}

Result<Value> zfill(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.zfill", {"width"}, 1));
    RAFTER_TRY(const std::int64_t width, bound.integer(0));
    std::string_view text = text_of(self);
    const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
    const std::string sign(text.substr(0, has_sign ? 1 : 0));
    RAFTER_TRY(const std::string digits, format_text(runtime, text.substr(sign.size()),
                                                     {.fill = "0", .align = '>', .width = width - static_cast<std::int64_t>(sign.size())}));
    return runtime.string_like(self, sign + digits);
}

Result<Value> expandtabs(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.expandtabs", {"tabsize"}));
    RAFTER_TRY(const std::int64_t tab_size, bound.integer_or(0, 8));
    const std::string_view text = text_of(self);
    std::string out;
    std::int64_t column = 0;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (c.value == '\t') {
            const std::int64_t n_blanks = tab_size > 0 ? tab_size - column % tab_size : 0;
            RAFTER_TRY_VOID(runtime.grow(out, static_cast<std::size_t>(n_blanks)));
            out.append(static_cast<std::size_t>(n_blanks), ' ');
            column += n_blanks;
        } else {
            out += text.substr(at, c.size_bytes);
            column = c.value == '\n' || c.value == '\r' ? 0 : column + 1;
        }
        at += c.size_bytes;
    }
    return runtime.string_like(self, std::move(out));
}

Result<Value> format_method(Runtime& runtime, const Value& self, Call call) { return format_braces(runtime, self, call); }

Result<Value> format_map(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "str.format_map", {"mapping"}, 1));
    if (!bound[0].is(Type::kDict)) return wrong_type("a dict", bound[0]).within("str.format_map");
    Arguments named;
    for (const auto& [key, value] : bound[0].as<DictObject>().entries) {
        if (key.is(Type::kString)) named.keywords.emplace_back(std::string(text_of(key)), value);
    }
    return format_braces(runtime, self, named);
}

struct Row {
    std::string_view name;
    Method call;
};

constexpr Row kMethods[] = {
    {"capitalize", converted<to_capitalized>},
    {"casefold", converted<fold_case>},
    {"center", justify<Align::kCenter>},
    {"count", count},
    {"endswith", has_affix<End::kEnd>},
    {"expandtabs", expandtabs},
    {"find", find_method<Side::kLeft, IfAbsent::kMinusOne>},
    {"format", format_method},
    {"format_map", format_map},
    {"index", find_method<Side::kLeft, IfAbsent::kError>},
    {"isalnum", all_are<is_alnum>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", is_ascii},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", is_identifier},
    {"islower", case_is<is_lower, is_upper>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", is_printable_text},
    {"isspace", all_are<is_space>},
    {"istitle", is_title_text},
    {"isupper", case_is<is_upper, is_lower>},
    {"join", join},
    {"ljust", justify<Align::kLeft>},
    {"lower", converted<to_lower>},
    {"lstrip", strip_method<Side::kLeft>},
    {"partition", partition<Side::kLeft>},
    {"removeprefix", remove_affix<End::kStart>},
    {"removesuffix", remove_affix<End::kEnd>},
    {"replace", replace},
    {"rfind", find_method<Side::kRight, IfAbsent::kMinusOne>},
    {"rindex", find_method<Side::kRight, IfAbsent::kError>},
    {"rjust", justify<Align::kRight>},
    {"rpartition", partition<Side::kRight>},
    {"rsplit", split_method<Side::kRight>},
    {"rstrip", strip_method<Side::kRight>},
    {"split", split_method<Side::kLeft>},
    {"splitlines", splitlines},
    {"startswith", has_affix<End::kStart>},
    {"strip", strip_method<Side::kBoth>},
    {"swapcase", converted<swap_case>},
    {"title", converted<to_title>},
    {"upper", converted<to_upper>},
    {"zfill", zfill},
};

}  // namespace

Method find_string_method(std::string_view name, std::string_view& static_name) {
    for (const Row& row : kMethods) {
        if (row.name == name) {
            static_name = row.name;
            return row.call;
        }
    }
    return nullptr;
}

}  // namespace rafter::text::jinja
