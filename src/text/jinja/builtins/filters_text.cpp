// Filters that make text: case, white space, escapes, JSON.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/builtins/format.h"
#include "text/jinja/builtins/methods.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"
#include "text/jinja/run/render.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

// The value's text; markup stays markup.
Result<Value> soft_string(Runtime& runtime, const Value& value) {
    if (value.is(Type::kString)) return value;
    RAFTER_TRY(std::string text, to_text(runtime, value));
    return runtime.string(std::move(text));
}

template <std::string (*Convert)(std::string_view)>
Result<Value> converted(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(const Value text, soft_string(runtime, value));
    return runtime.string_like(text, Convert(text_of(text)));
}

Result<Value> string(Runtime& runtime, const Value& value, const Bound&) { return soft_string(runtime, value); }

Result<Value> safe(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(std::string text, to_text(runtime, value));
    return runtime.markup(std::move(text));
}

Result<Value> escape(Runtime& runtime, const Value& value, const Bound&) {
    if (is_markup(value)) return value;
    RAFTER_TRY(const std::string text, to_text(runtime, value));
    return runtime.markup(escape_html(text));
}

Result<Value> trim(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const Value text, soft_string(runtime, value));
    if (!bound.has_value(0)) return runtime.string_like(text, std::string(strip(text_of(text))));
    RAFTER_TRY(const std::string_view characters, bound.text(0));
    return runtime.string_like(text, std::string(strip_characters(text_of(text), characters, Side::kBoth)));
}

Result<Value> replace(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::string text, to_text(runtime, value));
    RAFTER_TRY(const std::string from, to_text(runtime, bound[0]));
    RAFTER_TRY(const std::string to, to_text(runtime, bound[1]));
    RAFTER_TRY(const std::int64_t max_count, bound.has_value(2) ? bound.integer(2) : Result<std::int64_t>(-1));
    RAFTER_TRY(std::string out, replace_text(runtime, text, from, to, max_count));
    return runtime.string(std::move(out));
}

// Words begin after white space and after - ( { [ <, unlike in str.title().
Result<Value> title(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(const std::string text, to_text(runtime, value));
    std::string out;
    const auto parts_words = [](char32_t c) {
        return is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t first_bytes = code_point_at(text, at).size_bytes;
        std::size_t end = at + first_bytes;
        if (!parts_words(code_point_at(text, at).value)) {
            while (end < text.size() && !parts_words(code_point_at(text, end).value)) end += code_point_at(text, end).size_bytes;
        }
        const std::string_view word = std::string_view(text).substr(at, end - at);
        out += to_upper(word.substr(0, first_bytes)) + to_lower(word.substr(first_bytes));
        at = end;
    }
    return runtime.string(std::move(out));
}

Result<Value> wordcount(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(const std::string text, to_text(runtime, value));
    std::int64_t n = 0;
    bool in_word = false;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = code_point_at(text, at);
        if (is_word(c.value) && !in_word) ++n;
        in_word = is_word(c.value);
        at += c.size_bytes;
    }
    return Value::integer(n);
}

Result<Value> indent(Runtime& runtime, const Value& value, const Bound& bound) {
    if (!value.is(Type::kString)) return wrong_type("a string", value).within("indent");
    std::string indention(4, ' ');
    if (bound.has(0) && bound[0].is(Type::kString)) {
        indention = text_of(bound[0]);
    } else {
        RAFTER_TRY(const std::int64_t width, bound.integer_or(0, 4));
        if (width > 0) RAFTER_TRY_VOID(runtime.reserve(static_cast<std::size_t>(std::min(width, std::int64_t{1} << 40))));
        indention = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    }
    const bool indents_blank = bound.truth_or(2, false);
    // The line end is jinja2's own quirk: it keeps a last empty line.
    const std::string text = std::string(text_of(value)) + "\n";
    const auto lines = split_lines(text);
    RAFTER_TRY_VOID(runtime.reserve(text.size() + lines.size() * (indention.size() + 1)));
    std::string out = bound.truth_or(1, false) ? indention : "";
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) out += '\n';
        if (i > 0 && (indents_blank || !lines[i].empty())) out += indention;
        out += lines[i];
    }
    return runtime.string_like(value, std::move(out));
}

Result<Value> truncate(Runtime& runtime, const Value& value, const Bound& bound) {
    const auto size = length_of(value);
    if (!size) return bad_input("truncate: object of type '{}' has no len()", type_name(value));
    RAFTER_TRY(const std::int64_t length, bound.integer_or(0, 255));
    RAFTER_TRY(const std::string_view end, bound.text_or(2, "..."));
    RAFTER_TRY(const std::int64_t leeway, bound.has_value(3) ? bound.integer(3) : Result<std::int64_t>(5));
    const auto end_length = static_cast<std::int64_t>(count_code_points(end));
    if (length < end_length) return bad_input("truncate: expected length >= {}, found {}", end_length, length);
    if (leeway < 0) return bad_input("truncate: expected leeway >= 0, found {}", leeway);
    if (*size <= leeway || *size - leeway <= length) return value;
    if (!value.is(Type::kString)) return wrong_type("a string", value).within("truncate");
    const std::string_view text = text_of(value);
    std::string_view kept = text.substr(0, byte_offset(text, static_cast<std::size_t>(length - end_length)));
    if (!bound.truth_or(1, false)) {
        const std::size_t blank = kept.rfind(' ');
        if (blank != std::string_view::npos) kept = kept.substr(0, blank);
    }
    return binary(runtime, BinaryOperator::kAdd, runtime.string_like(value, std::string(kept)),
                  bound.has(2) ? bound[2] : runtime.string("..."));
}

// transformers' own tojson: json.dumps without escaping HTML and without sorting keys.
Result<Value> tojson(Runtime& runtime, const Value& value, const Bound& bound) {
    JsonOptions options;
    options.ensure_ascii = bound.truth_or(0, false);
    options.sort_keys = bound.truth_or(3, false);
    if (bound.has_value(1)) {
        options.item_separator = ",";
        if (bound[1].is(Type::kString)) {
            options.indent = std::string(text_of(bound[1]));
        } else {
            RAFTER_TRY(const std::int64_t width, bound.integer(1));
            if (width > 1000) return bad_input("tojson: expected an indent of at most 1000, found {}", width);
            options.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
        }
    }
    if (bound.has_value(2)) {
        RAFTER_TRY(const std::vector<Value> separators, to_vector(runtime, bound[2]));
        if (separators.size() != 2 || !separators[0].is(Type::kString) || !separators[1].is(Type::kString)) {
            return bad_input("tojson: separators: expected two strings");
        }
        options.item_separator = text_of(separators[0]);
        options.key_separator = text_of(separators[1]);
    }
    RAFTER_TRY(std::string json, to_json(runtime, value, options));
    return runtime.string(std::move(json));
}

// 'text %s' | format(...): the operator % with a call's arguments.
Result<Value> format(Runtime& runtime, const Value& value, const Bound& bound) {
    if (!bound.positional().empty() && !bound.keywords().empty()) {
        return bad_input("format: can't handle positional and keyword arguments at the same time");
    }
    RAFTER_TRY(const Value text, soft_string(runtime, value));
    DictObject named;
    for (const auto& [name, argument] : bound.keywords()) named.set(runtime.string(name), argument);
    RAFTER_TRY(const Value values, bound.keywords().empty() ? runtime.tuple(bound.positional()) : runtime.dict(std::move(named)));
    return format_percent(runtime, text, values);
}

Result<Value> from_json(Runtime& runtime, const Value& value, const Bound&) {
    if (!value.is(Type::kString)) return wrong_type("a string", value).within("from_json");
    constexpr std::size_t kBytesPerCharacter = 16;  // of "[1,1,1": a node for every two
    RAFTER_TRY_VOID(runtime.reserve(text_of(value).size() * kBytesPerCharacter));
    const auto json = nlohmann::ordered_json::parse(text_of(value), nullptr, false);
    if (json.is_discarded()) return bad_input("from_json: expected JSON, found {}", short_repr(value));
    return to_value(runtime, json);
}

constexpr MethodRow kTextFilters[] = {
    {"capitalize", converted<to_capitalized>},
    {"e", escape},
    {"escape", escape},
    {"format", format, kAnything},
    {"from_json", from_json},
    {"indent", indent, "width first blank"},
    {"lower", converted<to_lower>},
    {"replace", replace, "old new count", 2},
    {"safe", safe},
    {"string", string},
    {"title", title},
    {"tojson", tojson, "ensure_ascii indent separators sort_keys"},
    {"trim", trim, "chars"},
    {"truncate", truncate, "length killwords end leeway"},
    {"upper", converted<to_upper>},
    {"wordcount", wordcount},
};

}  // namespace

const MethodRow* find_text_filter(std::string_view name) { return find_row(kTextFilters, name); }

}  // namespace rafter::text::jinja
