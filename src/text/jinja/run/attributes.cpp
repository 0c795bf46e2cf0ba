// x.name, x[key] and x[a:b]: the only ways from one value to another.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/builtins/methods.h"
#include "text/jinja/run/loop.h"
#include "text/jinja/run/operators.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

Result<Value> unsafe(Runtime& runtime, const Value& owner, std::string_view name) {
    return runtime.undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(owner)));
}

// An index from the end when negative; nullopt when it lies outside.
std::optional<std::size_t> element_index(const Value& key, std::int64_t size) {
    if (!key.is_integral()) return std::nullopt;
    const Int index = key.as_int() < 0 ? key.as_int() + size : key.as_int();
    if (index < 0 || index >= size) return std::nullopt;
    return static_cast<std::size_t>(index);
}

Result<Value> character(Runtime& runtime, const Value& owner, const Value& key) {
    const std::string_view text = text_of(owner);
    const auto index = element_index(key, static_cast<std::int64_t>(n_code_points(owner)));
    if (!index) return Value();
    std::size_t at = *index;
    if (n_code_points(owner) != text.size()) {
        RAFTER_TRY_VOID(runtime.spend(*index / kBytesPerStep));
        at = byte_offset(text, *index);
    }
    return runtime.string_like(owner, std::string(text.substr(at, code_point_at(text, at).size_bytes)));
}

// The element alone; missing when there is none.
Result<Value> find_element(Runtime& runtime, const Value& owner, const Value& key) {
    switch (owner.type()) {
        case Type::kDict: {
            RAFTER_TRY_VOID(runtime.spend(weight_of(key)));
            const Value* found = owner.as<DictObject>().find(key);
            return found == nullptr ? Value() : *found;
        }
        case Type::kList:
        case Type::kTuple: {
            const auto index = element_index(key, static_cast<std::int64_t>(items_of(owner).size()));
            return index ? items_of(owner)[*index] : Value();
        }
        case Type::kString:
            return character(runtime, owner, key);
        case Type::kRange: {
            const auto& range = owner.as<RangeObject>();
            const auto index = element_index(key, range.length);
            return index ? Value::integer(range.start + static_cast<std::int64_t>(*index) * range.step) : Value();
        }
        default:
            return Value();
    }
}

struct SliceBounds {
    std::int64_t start = 0, stop = 0, step = 1;
    std::int64_t n_items = 0;
};

// A bound clamped as Python does it: any integer is welcome.
Result<std::optional<std::int64_t>> slice_index(const Value& value) {
    if (value.is_missing() || value.is(Type::kNone)) return std::optional<std::int64_t>();
    if (!value.is_integral()) {
        if (value.is(Type::kUndefined)) return wrong_type("", value);
        return bad_input("slice indices must be integers or None, found {}", type_name(value));
    }
    const Int limit = std::numeric_limits<std::int64_t>::max() / 4;
    return std::optional<std::int64_t>(static_cast<std::int64_t>(std::clamp(value.as_int(), -limit, limit)));
}

Result<SliceBounds> slice_bounds(std::int64_t size, const Value& start, const Value& stop, const Value& step) {
    RAFTER_TRY(const auto given_start, slice_index(start));
    RAFTER_TRY(const auto given_stop, slice_index(stop));
    RAFTER_TRY(const auto given_step, slice_index(step));
    SliceBounds bounds;
    bounds.step = given_step.value_or(1);
    if (bounds.step == 0) return bad_input("slice step cannot be zero");
    const std::int64_t low = bounds.step > 0 ? 0 : -1;
    const std::int64_t high = bounds.step > 0 ? size : size - 1;
    const auto place = [&](std::int64_t index) { return std::clamp(index < 0 ? index + size : index, low, high); };
    bounds.start = given_start ? place(*given_start) : (bounds.step > 0 ? low : high);
    bounds.stop = given_stop ? place(*given_stop) : (bounds.step > 0 ? high : low);
    const std::int64_t span = bounds.step > 0 ? bounds.stop - bounds.start : bounds.start - bounds.stop;
    const std::int64_t stride = bounds.step > 0 ? bounds.step : -bounds.step;
    bounds.n_items = span <= 0 ? 0 : (span - 1) / stride + 1;
    return bounds;
}

std::string slice_text(std::string_view text, std::size_t n_points, const SliceBounds& bounds) {
    if (bounds.n_items == 0) return {};
    const auto first = static_cast<std::size_t>(bounds.start);
    const auto n_items = static_cast<std::size_t>(bounds.n_items);
    if (bounds.step == 1) {
        const std::size_t begin = n_points == text.size() ? first : byte_offset(text, first);
        const std::string_view rest = text.substr(begin);
        return std::string(rest.substr(0, n_points == text.size() ? n_items : byte_offset(rest, n_items)));
    }
    std::vector<std::size_t> starts;  // of every code point
    starts.reserve(n_points);
    for (std::size_t at = 0; at < text.size(); at += code_point_at(text, at).size_bytes) starts.push_back(at);
    std::string out;
    for (std::int64_t i = 0; i < bounds.n_items; ++i) {
        const std::size_t at = starts[static_cast<std::size_t>(bounds.start + i * bounds.step)];
        out += text.substr(at, code_point_at(text, at).size_bytes);
    }
    return out;
}

}  // namespace

Result<Value> find_attribute(Runtime& runtime, const Value& owner, std::string_view name) {
    if (owner.is(Type::kUndefined)) return wrong_type("", owner);
    switch (owner.type()) {
        case Type::kNamespace: {
            const Value* found = owner.as<NamespaceObject>().find(name);
            return found == nullptr ? Value() : *found;
        }
        case Type::kLoop:
            return owner.as<LoopObject>().attribute(runtime, owner, name);
        case Type::kTuple:
            if (owner.as<SequenceObject>().is_group) {
                if (name == "grouper") return items_of(owner)[0];
                if (name == "list") return items_of(owner)[1];
            }
            break;
        case Type::kMacro:
            if (name == "name") return runtime.string(std::string(name_of_macro(owner.as<MacroObject>())));
            return Value();
        default:
            break;
    }
    if (is_mutating_method(owner.type(), name)) return unsafe(runtime, owner, name);
    if (const MethodRow* method = find_method(owner.type(), name)) return runtime.method(owner, method);
    return Value();
}

Result<Value> get_attribute(Runtime& runtime, const Value& owner, std::string_view name) {
    RAFTER_TRY(Value found, find_attribute(runtime, owner, name));
    if (!found.is_missing()) return found;
    if (owner.is(Type::kDict)) {
        if (const Value* element = owner.as<DictObject>().find(name)) return *element;
    }
    return runtime.undefined_attribute(owner, name);
}

Result<void> set_attribute(Runtime& runtime, const Value& name_space, std::string_view name, Value value) {
    if (name.starts_with('_')) return bad_input("chat templates cannot store underscore-prefixed attributes on a namespace: '{}'", name);
    auto& attributes = name_space.as<NamespaceObject>().attributes;
    const auto found = std::find_if(attributes.begin(), attributes.end(), [&](const auto& attribute) { return attribute.first == name; });
    if (found != attributes.end()) {
        // Out of the way first: the end of the old value may reach back here.
        const Value old = std::exchange(found->second, std::move(value));
        return {};
    }
    runtime.heap().charge(sizeof(attributes[0]) + name.size());
    attributes.emplace_back(std::string(name), std::move(value));
    return {};
}

Result<Value> get_item(Runtime& runtime, const Value& owner, const Value& key) {
    if (owner.is(Type::kUndefined)) return wrong_type("", owner);
    RAFTER_TRY(Value element, find_element(runtime, owner, key));
    if (!element.is_missing()) return element;
    if (key.is(Type::kString)) {
        RAFTER_TRY(Value attribute, find_attribute(runtime, owner, text_of(key)));
        if (!attribute.is_missing()) return attribute;
    }
    return runtime.undefined_element(owner, key);
}

Result<Value> get_slice(Runtime& runtime, const Value& owner, const Value& start, const Value& stop, const Value& step) {
    if (!owner.is(Type::kString) && !owner.is_sequence() && !owner.is(Type::kRange)) {
        if (owner.is(Type::kUndefined)) return wrong_type("", owner);
        return bad_input("'{}' object cannot be sliced", type_name(owner));
    }
    RAFTER_TRY(const SliceBounds bounds, slice_bounds(*length_of(owner), start, stop, step));
    if (owner.is(Type::kString)) {
        RAFTER_TRY_VOID(runtime.spend(weight_of(owner)));
        return runtime.string_like(owner, slice_text(text_of(owner), n_code_points(owner), bounds));
    }
    if (owner.is(Type::kRange)) {
        const auto& range = owner.as<RangeObject>();
        const Int stride = Int{range.step} * bounds.step;
        if (stride > std::numeric_limits<std::int64_t>::max() || stride < std::numeric_limits<std::int64_t>::min()) {
            return bad_input("range: the step is beyond an integer of 64 bits");
        }
        return runtime.range(range.start + bounds.start * range.step, range.start + bounds.stop * range.step,
                             static_cast<std::int64_t>(stride));
    }
    RAFTER_TRY_VOID(runtime.reserve(static_cast<std::size_t>(bounds.n_items) * sizeof(Value)));
    std::vector<Value> items;
    items.reserve(static_cast<std::size_t>(bounds.n_items));
    for (std::int64_t i = 0; i < bounds.n_items; ++i)
        items.push_back(items_of(owner)[static_cast<std::size_t>(bounds.start + i * bounds.step)]);
    return owner.is(Type::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

}  // namespace rafter::text::jinja
