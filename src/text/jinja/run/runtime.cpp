// Makes values, charging them to the render's budget, and walks over them.
#include "text/jinja/run/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/jinja/run/loop.h"
#include "text/jinja/run/print.h"
#include "text/jinja/run/unicode.h"

namespace rafter::text::jinja {

namespace {

std::uint32_t depth_of_items(const std::vector<Value>& items) {
    std::uint32_t depth = 0;
    for (const Value& item : items) depth = std::max(depth, depth_of(item));
    return depth + 1;
}

Error too_deep(std::uint32_t limit) { return bad_input("values nested more than {} deep", limit); }

}  // namespace

std::tm Runtime::now() const {
    if (now_) return *now_;
    const std::time_t seconds = std::time(nullptr);
    std::tm local{};
    localtime_r(&seconds, &local);
    return local;
}

Result<void> Runtime::over_budget() const {
    if (n_steps_ > limits_.max_steps) return bad_input("stopped after {} steps: it may never end", limits_.max_steps);
    return bad_input("needs more than {} bytes of memory", limits_.max_live_bytes);
}

Result<void> Runtime::reserve(std::size_t size_bytes) {
    if (!heap_.has_room_for(size_bytes)) return bad_input("needs more than {} bytes of memory", limits_.max_live_bytes);
    return spend(size_bytes / kBytesPerStep);
}

Result<void> Runtime::grow(const std::string& text, std::size_t more_bytes) {
    if (!heap_.has_room_for(text.size() + more_bytes)) return bad_input("needs more than {} bytes of memory", limits_.max_live_bytes);
    return spend(1 + more_bytes / kBytesPerStep);
}

void Runtime::allow_for_input() {
    constexpr std::size_t kTimesInput = 8;
    const std::size_t input_bytes = heap_.live_bytes();
    limits_.max_live_bytes += kTimesInput * input_bytes;
    limits_.max_output_bytes += kTimesInput * input_bytes;
    heap_.set_limit(limits_.max_live_bytes);
}

template <typename T>
Value Runtime::make(Type type, T object, std::size_t payload_bytes) {
    object.type = type;
    return Value::counted(heap_.make(std::move(object), payload_bytes));
}

Value Runtime::string(std::string text) {
    const std::size_t size_bytes = text.size();
    n_steps_ += size_bytes / kBytesPerStep;
    return make(Type::kString, StringObject{.text = std::move(text)}, size_bytes);
}

Value Runtime::markup(std::string text) {
    Value value = string(std::move(text));
    value.as<StringObject>().markup = true;
    return value;
}

Value Runtime::string_like(const Value& model, std::string text) {
    return is_markup(model) ? markup(std::move(text)) : string(std::move(text));
}

Value Runtime::integer(Int value) {
    if (value >= std::numeric_limits<std::int64_t>::min() && value <= std::numeric_limits<std::int64_t>::max()) {
        return Value::integer(static_cast<std::int64_t>(value));
    }
    return make(Type::kInt, IntObject{.value = value}, 0);
}

Result<Value> Runtime::sequence(Type type, std::vector<Value> items) {
    const std::uint32_t depth = depth_of_items(items);
    if (depth > limits_.max_value_depth) return too_deep(limits_.max_value_depth);
    const std::size_t size_bytes = items.capacity() * sizeof(Value);
    n_steps_ += size_bytes / kBytesPerStep;
    std::uint64_t weight = 1;
    for (const Value& item : items) weight = add_weights(weight, weight_of(item));
    return make(type, SequenceObject{.items = std::move(items), .depth = depth, .weight = weight}, size_bytes);
}

Result<Value> Runtime::list(std::vector<Value> items) { return sequence(Type::kList, std::move(items)); }
Result<Value> Runtime::tuple(std::vector<Value> items) { return sequence(Type::kTuple, std::move(items)); }

Result<Value> Runtime::group(Value grouper, Value items) {
    RAFTER_TRY(Value pair, tuple({std::move(grouper), std::move(items)}));
    pair.as<SequenceObject>().is_group = true;
    return pair;
}

Result<Value> Runtime::dict(DictObject dict) {
    if (dict.depth > limits_.max_value_depth) return too_deep(limits_.max_value_depth);
    // An index entry is a node of its own: about 64 bytes.
    const std::size_t size_bytes = dict.entries.capacity() * 2 * sizeof(Value) + dict.index.size() * 64;
    n_steps_ += size_bytes / kBytesPerStep;
    return make(Type::kDict, std::move(dict), size_bytes);
}

Value Runtime::dict_view(const Value& dict, DictViewObject::Part part) {
    return make(Type::kDictView, DictViewObject{.dict = dict, .part = part}, 0);
}

Result<Value> Runtime::range(std::int64_t start, std::int64_t stop, std::int64_t step) {
    if (step == 0) return bad_input("range: expected a step other than 0");
    const Int span = step > 0 ? Int{stop} - start : Int{start} - stop;
    const Int stride = step > 0 ? Int{step} : -Int{step};
    const Int length = span <= 0 ? 0 : (span + stride - 1) / stride;
    if (length > kMaxRangeLength) {
        return bad_input("range: expected at most {} items, found {}", kMaxRangeLength, fmt::format("{}", length));
    }
    return make(Type::kRange, RangeObject{.start = start, .stop = stop, .step = step, .length = static_cast<std::int64_t>(length)}, 0);
}

Result<Value> Runtime::iterator(const Value& source, std::string_view type_name, std::function<Result<std::optional<Value>>()> next) {
    const std::uint32_t depth = depth_of(source) + 1;
    if (depth > limits_.max_value_depth) return too_deep(limits_.max_value_depth);
    return make(Type::kIterator, IteratorObject{.next = std::move(next), .type_name = type_name, .depth = depth}, 128);
}

Result<Value> Runtime::iterator(std::vector<Value> items, std::string_view type_name) {
    RAFTER_TRY(const Value kept, list(std::move(items)));
    return iterator(kept, type_name, [kept, i = std::size_t{0}]() mutable -> Result<std::optional<Value>> {
        return i < items_of(kept).size() ? std::optional(items_of(kept)[i++]) : std::nullopt;
    });
}

Value Runtime::function(const MethodRow* row) { return make(Type::kFunction, MethodObject{.row = row}, 0); }

Value Runtime::method(const Value& self, const MethodRow* row) { return make(Type::kMethod, MethodObject{.self = self, .row = row}, 0); }

Value Runtime::loop(LoopObject loop) { return make(Type::kLoop, std::move(loop), 0); }

Value Runtime::name_space(std::vector<std::pair<std::string, Value>> attributes) {
    NamespaceObject& made = namespaces_.emplace_back(NamespaceObject{.attributes = std::move(attributes)});
    made.type = Type::kNamespace;
    made.heap = &heap_;
    heap_.charge(sizeof(NamespaceObject) + made.attributes.size() * 64);
    return Value::borrowed(&made);
}

Value Runtime::macro(const Statement* definition, Frame* home) {
    MacroObject& made = macros_.emplace_back(MacroObject{.definition = definition, .home = home});
    made.type = Type::kMacro;
    made.heap = &heap_;
    heap_.charge(sizeof(MacroObject));
    return Value::borrowed(&made);
}

Value Runtime::undefined(std::string hint) { return make(Type::kUndefined, UndefinedObject{.hint = std::move(hint)}, 0); }

Value Runtime::undefined_variable(std::string_view name) {
    return make(Type::kUndefined, UndefinedObject{.name = fmt::format("'{}'", name)}, 0);
}

namespace {

std::string owner_name(const Value& owner) { return owner.is(Type::kNone) ? "None" : fmt::format("{} object", type_name(owner)); }

}  // namespace

Value Runtime::undefined_attribute(const Value& owner, std::string_view name) {
    return make(Type::kUndefined, UndefinedObject{.owner_type = owner_name(owner), .name = fmt::format("'{}'", name)}, 0);
}

Value Runtime::undefined_element(const Value& owner, const Value& key) {
    if (key.is(Type::kString)) return undefined_attribute(owner, text_of(key));
    return make(Type::kUndefined, UndefinedObject{.owner_type = owner_name(owner), .name = short_repr(key), .is_element = true}, 0);
}

Result<Cursor> Cursor::over(Value iterable) {
    if (!is_iterable(iterable)) return bad_input("'{}' object is not iterable", type_name(iterable));
    return Cursor(std::move(iterable));
}

Result<std::optional<Value>> Cursor::next(Runtime& runtime) {
    RAFTER_TRY_VOID(runtime.spend(1));
    switch (iterable_.type()) {
        case Type::kList:
        case Type::kTuple: {
            const auto& items = items_of(iterable_);
            if (position_ >= items.size()) return std::optional<Value>();
            return std::optional<Value>(items[position_++]);
        }
        case Type::kString: {
            const std::string_view text = text_of(iterable_);
            if (position_ >= text.size()) return std::optional<Value>();
            const std::size_t size_bytes = code_point_at(text, position_).size_bytes;
            position_ += size_bytes;
            return std::optional<Value>(runtime.string(std::string(text.substr(position_ - size_bytes, size_bytes))));
        }
        case Type::kDict: {
            const auto& entries = iterable_.as<DictObject>().entries;
            if (position_ >= entries.size()) return std::optional<Value>();
            return std::optional<Value>(entries[position_++].first);
        }
        case Type::kDictView: {
            const auto& view = iterable_.as<DictViewObject>();
            const auto& entries = view.dict.as<DictObject>().entries;
            if (position_ >= entries.size()) return std::optional<Value>();
            const auto& [key, value] = entries[position_++];
            if (view.part == DictViewObject::Part::kKeys) return std::optional<Value>(key);
            if (view.part == DictViewObject::Part::kValues) return std::optional<Value>(value);
            RAFTER_TRY(Value pair, runtime.tuple({key, value}));
            return std::optional<Value>(std::move(pair));
        }
        case Type::kRange: {
            const auto& range = iterable_.as<RangeObject>();
            if (position_ >= static_cast<std::size_t>(range.length)) return std::optional<Value>();
            return std::optional<Value>(Value::integer(range.start + static_cast<std::int64_t>(position_++) * range.step));
        }
        case Type::kIterator:
            return iterable_.as<IteratorObject>().next();
        default:
            return std::optional<Value>();  // undefined: nothing to walk over
    }
}

Result<std::vector<Value>> to_vector(Runtime& runtime, const Value& iterable) {
    RAFTER_TRY(Cursor cursor, Cursor::over(iterable));
    std::vector<Value> items;
    while (true) {
        RAFTER_TRY(std::optional<Value> item, cursor.next(runtime));
        if (!item) return items;
        if (items.size() % 4096 == 4095) RAFTER_TRY_VOID(runtime.reserve(items.size() * sizeof(Value)));
        items.push_back(std::move(*item));
    }
}

bool is_iterable(const Value& value) { return value.is(Type::kIterator) || length_of(value).has_value(); }

std::optional<std::int64_t> length_of(const Value& value) {
    switch (value.type()) {
        case Type::kUndefined:
            return 0;
        case Type::kString:
            return static_cast<std::int64_t>(n_code_points(value));
        case Type::kList:
        case Type::kTuple:
            return static_cast<std::int64_t>(items_of(value).size());
        case Type::kDict:
            return static_cast<std::int64_t>(value.as<DictObject>().entries.size());
        case Type::kDictView:
            return static_cast<std::int64_t>(value.as<DictViewObject>().dict.as<DictObject>().entries.size());
        case Type::kRange:
            return value.as<RangeObject>().length;
        default:
            return std::nullopt;
    }
}

bool truth(const Value& value) {
    switch (value.type()) {
        case Type::kMissing:
        case Type::kUndefined:
        case Type::kNone:
            return false;
        case Type::kBool:
            return value.as_bool();
        case Type::kInt:
            return value.as_int() != 0;
        case Type::kFloat:
            return value.as_real() != 0;
        case Type::kString:
            return !text_of(value).empty();
        default:
            return length_of(value) != 0;
    }
}

Error wrong_type(std::string_view expected, const Value& found) {
    if (found.is(Type::kUndefined)) return bad_input("{}", found.as<UndefinedObject>().message());
    return bad_input("expected {}, found {}", expected, type_name(found));
}

}  // namespace rafter::text::jinja
