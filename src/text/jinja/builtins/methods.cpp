// Methods of strings, dicts and lists, those that change nothing. Positions in strings are in code points.
#include "text/jinja/builtins/methods.h"

#include <algorithm>
#include <optional>
#include <string>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/builtins/format.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

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
Result<Value> converted_self(Runtime& runtime, const Value& self, const Bound&) {
    return runtime.string_like(self, Convert(text_of(self)));
}

template <Side kSide>
Result<Value> strip_method(Runtime& runtime, const Value& self, const Bound& bound) {
    std::string_view text = text_of(self);
    if (bound.has_value(0)) {
        RAFTER_TRY(const std::string_view characters, bound.text(0));
        text = strip_characters(text, characters, kSide);
    } else {
        if (kSide != Side::kRight) text = strip_left(text);
        if (kSide != Side::kLeft) text = strip_right(text);
    }
    return runtime.string_like(self, std::string(text));
}

// Up to max_splits parts and the rest, all parts when it is negative. An empty separator stands for runs of white space.
std::vector<std::string_view> split_text(std::string_view text, std::string_view separator, std::int64_t max_splits) {
    std::vector<std::string_view> parts;
    const bool at_spaces = separator.empty();
    if (at_spaces) text = strip_left(text);
    while (max_splits < 0 || static_cast<std::int64_t>(parts.size()) < max_splits) {
        std::size_t end = at_spaces ? 0 : find_text(text, separator);
        if (at_spaces) {
            while (end < text.size() && !is_space(code_point_at(text, end).value)) end += code_point_at(text, end).size_bytes;
        }
        if (end >= text.size()) break;
        parts.push_back(text.substr(0, end));
        text.remove_prefix(end + separator.size());
        if (at_spaces) text = strip_left(text);
    }
    if (!at_spaces || !text.empty()) parts.push_back(text);
    return parts;
}

Result<Value> split(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(const std::int64_t max_splits, bound.integer_or(1, -1));
    RAFTER_TRY_VOID(runtime.spend(weight_of(self)));
    std::string_view separator;
    if (bound.has_value(0)) {
        RAFTER_TRY(separator, bound.text(0));
        if (separator.empty()) return bad_input("str.split: empty separator");
    }
    const std::vector<std::string_view> parts = split_text(text_of(self), separator, max_splits);
    RAFTER_TRY_VOID(runtime.reserve(parts.size() * (sizeof(StringObject) + sizeof(Value))));
    std::vector<Value> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) items.push_back(runtime.string_like(self, std::string(part)));
    return runtime.list(std::move(items));
}

enum class End { kStart, kEnd };

template <End kEnd>
Result<Value> has_affix(Runtime&, const Value& self, const Bound& bound) {
    const std::string_view name = kEnd == End::kStart ? "str.startswith" : "str.endswith";
    RAFTER_TRY(const auto part, window(self, bound));
    const std::vector<Value> affixes = bound[0].is(Type::kTuple) ? items_of(bound[0]) : std::vector<Value>{bound[0]};
    for (const Value& affix : affixes) {
        if (!affix.is(Type::kString)) return wrong_type("a string or a tuple of strings", affix).within(name);
        const std::string_view text = text_of(affix);
        if (part && (kEnd == End::kStart ? part->text.starts_with(text) : part->text.ends_with(text))) return Value::boolean(true);
    }
    return Value::boolean(false);
}

Result<Value> find(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(const std::string_view needle, bound.text(0));
    RAFTER_TRY(const auto part, window(self, bound));
    RAFTER_TRY_VOID(runtime.spend(weight_of(self)));
    const std::size_t at = part ? find_text(part->text, needle) : std::string_view::npos;
    if (at == std::string_view::npos) return Value::integer(-1);
    return Value::integer(part->first + static_cast<std::int64_t>(count_code_points(part->text.substr(0, at))));
}

Result<Value> count(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(const std::string_view needle, bound.text(0));
    RAFTER_TRY(const auto part, window(self, bound));
    RAFTER_TRY_VOID(runtime.spend(weight_of(self)));
    if (!part) return Value::integer(0);
    if (needle.empty()) return Value::integer(static_cast<std::int64_t>(count_code_points(part->text)) + 1);
    return Value::integer(static_cast<std::int64_t>(split_text(part->text, needle, -1).size()) - 1);
}

Result<Value> replace_method(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(const std::string_view from, bound.text(0));
    RAFTER_TRY(const std::string_view to, bound.text(1));
    RAFTER_TRY(const std::int64_t max_count, bound.integer_or(2, -1));
    const std::string replacement = is_markup(self) && !is_markup(bound[1]) ? escape_html(to) : std::string(to);
    RAFTER_TRY(std::string text, replace_text(runtime, text_of(self), from, replacement, max_count));
    return runtime.string_like(self, std::move(text));
}

Result<Value> partition(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(const std::string_view separator, bound.text(0));
    if (separator.empty()) return bad_input("str.partition: empty separator");
    std::vector<std::string_view> parts = split_text(text_of(self), separator, 1);
    parts.insert(parts.begin() + 1, parts.size() == 2 ? separator : "");
    parts.resize(3);
    std::vector<Value> items;
    for (const std::string_view part : parts) items.push_back(runtime.string_like(self, std::string(part)));
    return runtime.tuple(std::move(items));
}

Result<Value> join_method(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(const std::vector<Value> items, to_vector(runtime, bound[0]));
    std::string out;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const Value& item = items[i];
        if (!is_markup(self) && !item.is(Type::kString)) {
            return bad_input("str.join: item {}: expected a string, found {}", i, type_name(item));
        }
        RAFTER_TRY(std::string text, to_text(runtime, item));
        if (is_markup(self) && !is_markup(item)) text = escape_html(text);
        RAFTER_TRY_VOID(runtime.grow(out, text_of(self).size() + text.size()));
        if (i > 0) out += text_of(self);
        out += text;
    }
    return runtime.string_like(self, std::move(out));
}

Result<Value> is_alnum(Runtime&, const Value& self, const Bound&) {
    std::string_view text = text_of(self);
    bool all = !text.empty();
    for (; all && !text.empty(); text.remove_prefix(code_point_at(text, 0).size_bytes)) {
        all = text[0] != '_' && is_word(code_point_at(text, 0).value);
    }
    return Value::boolean(all);
}

template <DictViewObject::Part kPart>
Result<Value> view(Runtime& runtime, const Value& self, const Bound&) {
    return runtime.dict_view(self, kPart);
}

Result<Value> get(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY_VOID(runtime.spend(weight_of(bound[0])));
    if (!is_hashable(bound[0])) return bad_input("dict.get: unhashable type: '{}'", type_name(bound[0]));
    if (const Value* found = self.as<DictObject>().find(bound[0])) return *found;
    return bound.has(1) ? bound[1] : Value::none();
}

Result<Value> count_items(Runtime& runtime, const Value& self, const Bound& bound) {
    RAFTER_TRY(Cursor cursor, Cursor::over(self));
    std::int64_t n = 0;
    while (true) {
        RAFTER_TRY(const std::optional<Value> item, cursor.next(runtime));
        if (!item) return Value::integer(n);
        RAFTER_TRY(const bool same, equals(runtime, *item, bound[0]));
        n += same || item->same(bound[0]) ? 1 : 0;
    }
}

constexpr MethodRow kStringMethods[] = {
    {"capitalize", converted_self<to_capitalized>},
    {"count", count, "sub start end", 1},
    {"endswith", has_affix<End::kEnd>, "affix start end", 1},
    {"find", find, "sub start end", 1},
    {"format", format_braces, kAnything},
    {"isalnum", is_alnum},
    {"join", join_method, "iterable", 1},
    {"lower", converted_self<to_lower>},
    {"lstrip", strip_method<Side::kLeft>, "chars"},
    {"partition", partition, "sep", 1},
    {"replace", replace_method, "old new count", 2},
    {"rstrip", strip_method<Side::kRight>, "chars"},
    {"split", split, "sep maxsplit"},
    {"startswith", has_affix<End::kStart>, "affix start end", 1},
    {"strip", strip_method<Side::kBoth>, "chars"},
    {"title", converted_self<to_title>},
    {"upper", converted_self<to_upper>},
};

constexpr MethodRow kDictMethods[] = {
    {"get", get, "key default", 1},
    {"items", view<DictViewObject::Part::kItems>},
    {"keys", view<DictViewObject::Part::kKeys>},
    {"values", view<DictViewObject::Part::kValues>},
};

constexpr MethodRow kSequenceMethods[] = {{"count", count_items, "value", 1}};

constexpr std::string_view kListMutators[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};

// Where Python's splitlines() ends a line.
bool is_line_end(char32_t c) { return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029; }

}  // namespace

const MethodRow* find_method(Type type, std::string_view name) {
    if (type == Type::kString) return find_row(kStringMethods, name);
    if (type == Type::kDict) return find_row(kDictMethods, name);
    return type == Type::kList || type == Type::kTuple || type == Type::kRange ? find_row(kSequenceMethods, name) : nullptr;
}

bool is_mutating_method(Type type, std::string_view name) {
    if (type == Type::kList) return std::ranges::find(kListMutators, name) != std::end(kListMutators);
    return type == Type::kDict && std::ranges::find(kDictMutators, name) != std::end(kDictMutators);
}

std::vector<std::string_view> split_lines(std::string_view text) {
    std::vector<std::string_view> lines;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        const std::size_t end = at;
        at += c.size_bytes;
        if (!is_line_end(c.value)) continue;
        if (c.value == '\r' && at < text.size() && text[at] == '\n') ++at;
        lines.push_back(text.substr(begin, end - begin));
        begin = at;
    }
    if (begin < text.size()) lines.push_back(text.substr(begin));
    return lines;
}

std::string_view strip_characters(std::string_view text, std::string_view characters, Side side) {
    std::u32string set;
    for (std::size_t at = 0; at < characters.size(); at += code_point_at(characters, at).size_bytes)
        set += code_point_at(characters, at).value;
    std::ranges::sort(set);
    const auto stripped = [&](CodePoint c) { return std::ranges::binary_search(set, c.value); };
    while (side != Side::kRight && !text.empty() && stripped(code_point_at(text, 0))) text.remove_prefix(code_point_at(text, 0).size_bytes);
    while (side != Side::kLeft && !text.empty()) {
        const CodePoint c = code_point_before(text, text.size());
        if (!stripped(c)) break;
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
        // Nothing is found before every character, and at the end.
        const bool at_start = from.empty() && n == 0;
        if (from.empty() && n > 0 && begin >= text.size()) break;
        const std::size_t at = at_start ? 0 : from.empty() ? begin + code_point_at(text, begin).size_bytes : find_text(text, from, begin);
        if (at == std::string_view::npos) break;
        out += text.substr(begin, at - begin);
        out += to;
        begin = at + from.size();
        if (out.size() <= checked_bytes) continue;
        checked_bytes = out.size() * 2;
        RAFTER_TRY_VOID(runtime.reserve(checked_bytes));
    }
    out += text.substr(begin);
    return out;
}

}  // namespace rafter::text::jinja
