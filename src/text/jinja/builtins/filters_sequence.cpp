// Filters over lists and the like that look at all items at once: length, join, sort, sum, ...
#include <algorithm>
#include <string>
#include <utility>

#include "text/jinja/builtins/attribute_path.h"
#include "text/jinja/builtins/filters.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

LetterCase letter_case(const Bound& bound, std::size_t i) { return bound.truth_or(i, false) ? LetterCase::kKept : LetterCase::kIgnored; }

Result<Value> length(Runtime&, const Value& value, const Bound&) {
    const auto n = length_of(value);
    if (!n) return bad_input("object of type '{}' has no len()", type_name(value));
    return Value::integer(*n);
}

Result<Value> first(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(Cursor cursor, Cursor::over(value));
    RAFTER_TRY(std::optional<Value> item, cursor.next(runtime));
    return item ? std::move(*item) : runtime.undefined("No first item, sequence was empty.");
}

// What Python can walk backwards; nullopt for what it cannot.
Result<std::optional<std::vector<Value>>> reversed_items(Runtime& runtime, const Value& value) {
    using Found = std::optional<std::vector<Value>>;
    if (value.is(Type::kIterator) || !is_iterable(value)) return Found();
    RAFTER_TRY(std::vector<Value> items, to_vector(runtime, value));
    std::reverse(items.begin(), items.end());
    return Found(std::move(items));
}

Result<Value> last(Runtime& runtime, const Value& value, const Bound&) {
    if (value.is_sequence() && !items_of(value).empty()) return items_of(value).back();
    RAFTER_TRY(const auto items, reversed_items(runtime, value));
    if (!items) return bad_input("last: '{}' object is not reversible", type_name(value));
    return items->empty() ? runtime.undefined("No last item, sequence was empty.") : items->front();
}

Result<Value> list(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(std::vector<Value> items, to_vector(runtime, value));
    return runtime.list(std::move(items));
}

Result<Value> reverse(Runtime& runtime, const Value& value, const Bound&) {
    if (value.is(Type::kString)) return get_slice(runtime, value, Value(), Value(), Value::integer(-1));
    if (value.is(Type::kIterator)) {
        RAFTER_TRY(std::vector<Value> items, to_vector(runtime, value));
        std::reverse(items.begin(), items.end());
        return runtime.list(std::move(items));
    }
    RAFTER_TRY(auto items, reversed_items(runtime, value));
    if (!items) return bad_input("reverse: argument must be iterable, found {}", type_name(value));
    return runtime.iterator(std::move(*items), value.is(Type::kList) ? "list_reverseiterator" : "reversed");
}

Result<Value> join(Runtime& runtime, const Value& value, const Bound& bound) {
    std::string separator;
    if (bound.has(0)) {
        RAFTER_TRY(separator, to_text(runtime, bound[0]));
    }
    RAFTER_TRY(const AttributePath path, AttributePath::parse(runtime, bound[1], LetterCase::kKept));
    RAFTER_TRY(Cursor cursor, Cursor::over(value));
    std::string out;
    for (bool is_first = true;; is_first = false) {
        RAFTER_TRY(const std::optional<Value> item, cursor.next(runtime));
        if (!item) return runtime.string(std::move(out));
        RAFTER_TRY(const Value found, path.get(runtime, *item));
        RAFTER_TRY(const std::string text, to_text(runtime, found));
        RAFTER_TRY_VOID(runtime.grow(out, separator.size() + text.size()));
        if (!is_first) out += separator;
        out += text;
    }
}

// The items in the order of their keys.
Result<std::vector<Value>> sorted(Runtime& runtime, const std::vector<Value>& items, const std::vector<Value>& keys, SortOrder order) {
    std::vector<std::size_t> positions(items.size());
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = i;
    RAFTER_TRY_VOID(stable_sort_by(
        runtime, positions, [&](std::size_t i) -> const Value& { return keys[i]; }, order));
    std::vector<Value> result;
    result.reserve(items.size());
    for (const std::size_t i : positions) result.push_back(items[i]);
    return result;
}

// sort(attribute="a,b"): several attributes, each its own path.
Result<std::vector<AttributePath>> sort_paths(Runtime& runtime, const Value& attribute, LetterCase ignored) {
    std::vector<AttributePath> paths;
    if (!attribute.is(Type::kString)) {
        RAFTER_TRY(AttributePath path, AttributePath::parse(runtime, attribute, ignored));
        paths.push_back(std::move(path));
        return paths;
    }
    std::string_view rest = text_of(attribute);
    while (true) {
        const std::size_t comma = rest.find(',');
        RAFTER_TRY(AttributePath path, AttributePath::parse(runtime, runtime.string(std::string(rest.substr(0, comma))), ignored));
        paths.push_back(std::move(path));
        if (comma == std::string_view::npos) return paths;
        rest.remove_prefix(comma + 1);
    }
}

Result<Value> sort(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::vector<AttributePath> paths, sort_paths(runtime, bound[2], letter_case(bound, 1)));
    RAFTER_TRY(const std::vector<Value> items, to_vector(runtime, value));
    std::vector<Value> keys;
    for (const Value& item : items) {
        std::vector<Value> parts;
        for (const AttributePath& path : paths) {
            RAFTER_TRY(Value part, path.get(runtime, item));
            parts.push_back(std::move(part));
        }
        // A list, as in jinja2: equal parts need no order.
        RAFTER_TRY(Value key, runtime.list(std::move(parts)));
        keys.push_back(std::move(key));
    }
    RAFTER_TRY(std::vector<Value> result,
               sorted(runtime, items, keys, bound.truth_or(0, false) ? SortOrder::kDescending : SortOrder::kAscending));
    return runtime.list(std::move(result));
}

template <SortOrder kOrder>
Result<Value> extreme(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const AttributePath path, AttributePath::parse(runtime, bound[1], letter_case(bound, 0)));
    RAFTER_TRY(Cursor cursor, Cursor::over(value));
    RAFTER_TRY(std::optional<Value> best, cursor.next(runtime));
    if (!best) return runtime.undefined("No aggregated item, sequence was empty.");
    RAFTER_TRY(Value best_key, path.get(runtime, *best));
    while (true) {
        RAFTER_TRY(std::optional<Value> item, cursor.next(runtime));
        if (!item) return std::move(*best);
        RAFTER_TRY(Value key, path.get(runtime, *item));
        RAFTER_TRY(const bool better, kOrder == SortOrder::kAscending ? less(runtime, key, best_key) : less(runtime, best_key, key));
        if (!better) continue;
        best = std::move(item);
        best_key = std::move(key);
    }
}

Result<Value> sum(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const AttributePath path, AttributePath::parse(runtime, bound[0], LetterCase::kKept));
    Value total = bound.has(1) ? bound[1] : Value::integer(0);
    if (total.is(Type::kString)) return bad_input("sum() can't sum strings");
    RAFTER_TRY(Cursor cursor, Cursor::over(value));
    while (true) {
        RAFTER_TRY(const std::optional<Value> item, cursor.next(runtime));
        if (!item) return total;
        RAFTER_TRY(const Value term, path.get(runtime, *item));
        RAFTER_TRY(total, binary(runtime, BinaryOperator::kAdd, total, term));
    }
}

Result<Value> groupby(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const AttributePath path, AttributePath::parse(runtime, bound[0], letter_case(bound, 2), bound[1]));
    RAFTER_TRY(const AttributePath real_path, AttributePath::parse(runtime, bound[0], LetterCase::kKept, bound[1]));
    RAFTER_TRY(const std::vector<Value> items, to_vector(runtime, value));
    std::vector<Value> keys;
    for (const Value& item : items) {
        RAFTER_TRY(Value key, path.get(runtime, item));
        keys.push_back(std::move(key));
    }
    RAFTER_TRY(const std::vector<Value> ordered, sorted(runtime, items, keys, SortOrder::kAscending));
    std::vector<Value> groups;
    for (std::size_t begin = 0; begin < ordered.size();) {
        RAFTER_TRY(const Value key, path.get(runtime, ordered[begin]));
        std::vector<Value> members;
        std::size_t end = begin;
        for (; end < ordered.size(); ++end) {
            RAFTER_TRY(const Value other, path.get(runtime, ordered[end]));
            RAFTER_TRY(const bool same, equals(runtime, key, other));
            if (!same) break;
            members.push_back(ordered[end]);
        }
        // The key as the first member spells it.
        RAFTER_TRY(Value grouper, real_path.get(runtime, ordered[begin]));
        if (end == begin) return bad_input("groupby: a key that does not equal itself");
        RAFTER_TRY(Value member_list, runtime.list(std::move(members)));
        RAFTER_TRY(Value pair, runtime.group(std::move(grouper), std::move(member_list)));
        groups.push_back(std::move(pair));
        begin = end;
    }
    return runtime.list(std::move(groups));
}

Result<Value> dictsort(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::string_view by, bound.text_or(1, "key"));
    if (by != "key" && by != "value") return bad_input("dictsort: You can only sort by either \"key\" or \"value\"");
    if (!value.is(Type::kDict)) return wrong_type("a dict", value).within("dictsort");
    RAFTER_TRY(const AttributePath path, AttributePath::parse(runtime, Value::integer(by == "key" ? 0 : 1), letter_case(bound, 0)));
    RAFTER_TRY(const std::vector<Value> pairs, to_vector(runtime, runtime.dict_view(value, DictViewObject::Part::kItems)));
    std::vector<Value> keys;
    for (const Value& pair : pairs) {
        RAFTER_TRY(Value key, path.get(runtime, pair));
        keys.push_back(std::move(key));
    }
    RAFTER_TRY(std::vector<Value> result,
               sorted(runtime, pairs, keys, bound.truth_or(2, false) ? SortOrder::kDescending : SortOrder::kAscending));
    return runtime.list(std::move(result));
}

Result<Value> default_value(Runtime& runtime, const Value& value, const Bound& bound) {
    if (!value.is(Type::kUndefined) && !(bound.truth_or(1, false) && !truth(value))) return value;
    return bound.has(0) ? bound[0] : runtime.string("");
}

Result<Value> attr(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::string_view name, bound.text(0));
    RAFTER_TRY(Value found, find_attribute(runtime, value, name));
    return found.is_missing() ? runtime.undefined_attribute(value, name) : std::move(found);
}

constexpr MethodRow kSequenceFilters[] = {
    {"attr", attr, "name", 1},
    {"count", length},
    {"d", default_value, "default_value boolean"},
    {"default", default_value, "default_value boolean"},
    {"dictsort", dictsort, "case_sensitive by reverse"},
    {"first", first},
    {"groupby", groupby, "attribute default case_sensitive", 1},
    {"join", join, "d attribute"},
    {"last", last},
    {"length", length},
    {"list", list},
    {"max", extreme<SortOrder::kDescending>, "case_sensitive attribute"},
    {"min", extreme<SortOrder::kAscending>, "case_sensitive attribute"},
    {"reverse", reverse},
    {"sort", sort, "reverse case_sensitive attribute"},
    {"sum", sum, "attribute start"},
};

}  // namespace

const MethodRow* find_sequence_filter(std::string_view name) { return find_row(kSequenceFilters, name); }

}  // namespace rafter::text::jinja
