// The functions that every template can call.
#include <fmt/format.h>

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/print.h"

namespace rafter::text::jinja {

namespace {

// Namespaces are searched one attribute after the other.
constexpr std::size_t kMaxAttributes = 1000;

Result<std::int64_t> range_bound(const Value& value) {
    if (!value.is_integral()) return wrong_type("an integer", value).within("range");
    const Int wide = value.as_int();
    if (wide < std::numeric_limits<std::int64_t>::min() || wide > std::numeric_limits<std::int64_t>::max()) {
        return bad_input("range: expected an integer of 64 bits");
    }
    return static_cast<std::int64_t>(wide);
}

Result<Value> range(Runtime& runtime, const Value&, const Bound& bound) {
    const auto& given = bound.positional();
    if (given.empty() || given.size() > 3 || !bound.keywords().empty()) return bad_input("range: expected 1 to 3 integers");
    std::array<std::int64_t, 3> bounds = {0, 0, 1};
    for (std::size_t i = 0; i < given.size(); ++i) {
        RAFTER_TRY(bounds[given.size() == 1 ? 1 : i], range_bound(given[i]));
    }
    return runtime.range(bounds[0], bounds[1], bounds[2]);
}

Result<void> add_pairs(Runtime& runtime, DictObject& dict, const Value& source) {
    if (source.is(Type::kDict)) {
        RAFTER_TRY_VOID(runtime.reserve(source.as<DictObject>().entries.size() * 2 * sizeof(Value)));
        for (const auto& [key, value] : source.as<DictObject>().entries) dict.set(key, value);
        return {};
    }
    RAFTER_TRY(Cursor cursor, Cursor::over(source));
    while (true) {
        RAFTER_TRY(const std::optional<Value> item, cursor.next(runtime));
        if (!item) return {};
        RAFTER_TRY(std::vector<Value> pair, to_vector(runtime, *item));
        if (pair.size() != 2) return bad_input("dict: expected pairs, found {} items", pair.size());
        RAFTER_TRY_VOID(runtime.spend(weight_of(pair[0])));
        if (!is_hashable(pair[0])) return bad_input("dict: unhashable type: '{}'", type_name(pair[0]));
        dict.set(pair[0], std::move(pair[1]));
    }
}

Result<DictObject> make_dict(Runtime& runtime, const Bound& bound) {
    DictObject dict;
    if (bound.positional().size() > 1) return bad_input("dict: expected at most 1 argument, found {}", bound.positional().size());
    if (!bound.positional().empty()) RAFTER_TRY_VOID(add_pairs(runtime, dict, bound.positional()[0]));
    for (const auto& [name, value] : bound.keywords()) dict.set(runtime.string(name), value);
    return dict;
}

Result<Value> dict(Runtime& runtime, const Value&, const Bound& bound) {
    RAFTER_TRY(DictObject made, make_dict(runtime, bound));
    return runtime.dict(std::move(made));
}

Result<Value> name_space(Runtime& runtime, const Value&, const Bound& bound) {
    RAFTER_TRY(const DictObject made, make_dict(runtime, bound));
    if (made.entries.size() > kMaxAttributes) return bad_input("namespace: more than {} attributes", kMaxAttributes);
    const Value result = runtime.name_space({});
    for (const auto& [key, value] : made.entries) {
        if (!key.is(Type::kString)) return wrong_type("names of attributes", key).within("namespace");
        RAFTER_TRY_VOID(set_attribute(runtime, result, text_of(key), value));
    }
    return result;
}

Result<Value> raise_exception(Runtime& runtime, const Value&, const Bound& bound) {
    RAFTER_TRY(const std::string message, to_text(runtime, bound[0]));
    return bad_input("{}", message);
}

// Python's strftime on a time without a zone: %z and %Z are empty. Microseconds are not told.
std::string without_python_codes(std::string_view format) {
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
        const char next = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
        if (next == 'f') out += "000000";
        if (next == 'f' || next == 'z' || next == 'Z') {
            ++i;
            continue;
        }
        out += format[i];
        if (next != '\0') out += format[++i];
    }
    return out;
}

Result<Value> strftime_now(Runtime& runtime, const Value&, const Bound& bound) {
    RAFTER_TRY(const std::string_view format, bound.text(0));
    // The blank tells an empty result from one that did not fit.
    const std::string padded = without_python_codes(format) + " ";
    const std::size_t max_bytes = padded.size() * 64 + 4096;
    RAFTER_TRY_VOID(runtime.reserve(max_bytes));
    const std::tm now = runtime.now();
    std::string out(max_bytes, '\0');
    const std::size_t n = std::strftime(out.data(), out.size(), padded.c_str(), &now);
    if (n == 0) return bad_input("strftime_now: the time takes more than {} bytes", max_bytes);
    out.resize(n - 1);
    return runtime.string(std::move(out));
}

constexpr MethodRow kGlobals[] = {
    {"dict", dict, kAnything},   {"namespace", name_space, kAnything},        {"raise_exception", raise_exception, "message", 1},
    {"range", range, kAnything}, {"strftime_now", strftime_now, "format", 1},
};

}  // namespace

const MethodRow* find_global(std::string_view name) { return find_row(kGlobals, name); }

}  // namespace rafter::text::jinja
