// Methods of dicts, lists, tuples, ranges and numbers: those that change nothing.
#include <array>
#include <cmath>
#include <limits>

#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace rafter::text::jinja {

namespace {

using Call = const Arguments&;

template <DictViewObject::Part kPart>
Result<Value> view(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "dict view", {}));
    return runtime.dict_view(self, kPart);
}

Result<Value> get(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "dict.get", {"key", "default"}, 1));
    RAFTER_TRY_VOID(runtime.spend(weight_of(bound[0])));
    if (!is_hashable(bound[0])) return bad_input("dict.get: unhashable type: '{}'", type_name(bound[0]));
    if (const Value* found = self.as<DictObject>().find(bound[0])) return *found;
    return bound.has(1) ? bound[1] : Value::none();
}

// Values never change, so a copy may be the thing itself.
Result<Value> copy(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "copy", {}));
    return self;
}

Result<Value> count(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "count", {"value"}, 1));
    RAFTER_TRY(Cursor cursor, Cursor::over(self));
    std::int64_t n = 0;
    while (true) {
        RAFTER_TRY(const std::optional<Value> item, cursor.next(runtime));
        if (!item) return Value::integer(n);
        RAFTER_TRY(const bool same, equals(runtime, *item, bound[0]));
        n += same || item->same(bound[0]) ? 1 : 0;
    }
}

Result<Value> index(Runtime& runtime, const Value& self, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "index", {"value", "start", "stop"}, 1));
    const std::int64_t size = *length_of(self);
    RAFTER_TRY(std::int64_t start, bound.integer_or(1, 0));
    RAFTER_TRY(std::int64_t stop, bound.integer_or(2, std::numeric_limits<std::int64_t>::max()));
    if (start < 0) start = std::max<std::int64_t>(start + size, 0);
    if (stop < 0) stop += size;
    RAFTER_TRY(Cursor cursor, Cursor::over(self));
    for (std::int64_t i = 0;; ++i) {
        RAFTER_TRY(const std::optional<Value> item, cursor.next(runtime));
        if (!item || i >= stop) return bad_input("index: the value is not in the {}", type_name(self));
        if (i < start) continue;
        RAFTER_TRY(const bool same, equals(runtime, *item, bound[0]));
        if (same || item->same(bound[0])) return Value::integer(i);
    }
}

Result<Value> is_integer(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "float.is_integer", {}));
    return Value::boolean(std::isfinite(self.as_real()) && std::trunc(self.as_real()) == self.as_real());
}

Result<Value> bit_length(Runtime&, const Value& self, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "int.bit_length", {}));
    const Int value = self.as_int();
    auto magnitude = static_cast<unsigned __int128>(value < 0 ? -value : value);
    std::int64_t n_bits = 0;
    for (; magnitude != 0; magnitude >>= 1) ++n_bits;
    return Value::integer(n_bits);
}

struct Row {
    Type type;
    std::string_view name;
    Method call;
};

constexpr Row kMethods[] = {
    {Type::kDict, "copy", copy},
    {Type::kDict, "get", get},
    {Type::kDict, "items", view<DictViewObject::Part::kItems>},
    {Type::kDict, "keys", view<DictViewObject::Part::kKeys>},
    {Type::kDict, "values", view<DictViewObject::Part::kValues>},
    {Type::kFloat, "is_integer", is_integer},
    {Type::kInt, "bit_length", bit_length},
    {Type::kList, "copy", copy},
    {Type::kList, "count", count},
    {Type::kList, "index", index},
    {Type::kRange, "count", count},
    {Type::kRange, "index", index},
    {Type::kTuple, "count", count},
    {Type::kTuple, "index", index},
};

constexpr std::string_view kListMutators[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};

}  // namespace

Method find_container_method(Type type, std::string_view name, std::string_view& static_name) {
    for (const Row& row : kMethods) {
        if (row.type == type && row.name == name) {
            static_name = row.name;
            return row.call;
        }
    }
    return nullptr;
}

bool is_mutating_method(Type type, std::string_view name) {
    if (type == Type::kList) return std::find(std::begin(kListMutators), std::end(kListMutators), name) != std::end(kListMutators);
    if (type == Type::kDict) return std::find(std::begin(kDictMutators), std::end(kDictMutators), name) != std::end(kDictMutators);
    return false;
}

}  // namespace rafter::text::jinja
