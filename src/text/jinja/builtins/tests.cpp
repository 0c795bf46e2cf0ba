// What can stand after `is`.
#include "text/jinja/builtins/filters.h"
#include "text/jinja/run/operators.h"

namespace rafter::text::jinja {

namespace {

using Call = const Arguments&;

// Tests of the value alone.
template <bool (*Holds)(const Value&)>
Result<Value> simple(Runtime&, const Value& value, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "test", {}));
    return Value::boolean(Holds(value));
}

template <Type kType>
bool is_type(const Value& value) {
    return value.is(kType);
}

bool is_defined(const Value& value) { return !value.is(Type::kUndefined); }
bool is_true(const Value& value) { return value.is(Type::kBool) && value.as_bool(); }
bool is_false(const Value& value) { return value.is(Type::kBool) && !value.as_bool(); }
bool is_number(const Value& value) { return value.is_number(); }
bool can_be_walked(const Value& value) { return is_iterable(value) || value.is(Type::kLoop); }
// What has a length and elements.
bool is_sequence(const Value& value) { return length_of(value).has_value() && !value.is(Type::kDictView); }

template <int kRemainder>
Result<Value> parity(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(const Bound none, bind(call, kRemainder == 0 ? "even" : "odd", {}));
    RAFTER_TRY(const Value remainder, binary(runtime, BinaryOperator::kModulo, value, Value::integer(2)));
    return Value::boolean(equal(remainder, Value::integer(kRemainder)));
}

template <Comparison kComparison>
Result<Value> comparison(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "test", {"other"}, 1));
    RAFTER_TRY(const bool holds, compare(runtime, kComparison, value, bound[0]));
    return Value::boolean(holds);
}

constexpr MethodRow kTests[] = {
    {"boolean", simple<is_type<Type::kBool>>},
    {"defined", simple<is_defined>},
    {"eq", comparison<Comparison::kEqual>},
    {"equalto", comparison<Comparison::kEqual>},
    {"even", parity<0>},
    {"false", simple<is_false>},
    {"float", simple<is_type<Type::kFloat>>},
    {"ge", comparison<Comparison::kGreaterEqual>},
    {"gt", comparison<Comparison::kGreater>},
    {"in", comparison<Comparison::kIn>},
    {"integer", simple<is_type<Type::kInt>>},
    {"iterable", simple<can_be_walked>},
    {"le", comparison<Comparison::kLessEqual>},
    {"lt", comparison<Comparison::kLess>},
    {"mapping", simple<is_type<Type::kDict>>},
    {"ne", comparison<Comparison::kNotEqual>},
    {"none", simple<is_type<Type::kNone>>},
    {"number", simple<is_number>},
    {"odd", parity<1>},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_type<Type::kString>>},
    {"true", simple<is_true>},
    {"undefined", simple<is_type<Type::kUndefined>>},
};

}  // namespace

Method find_test(std::string_view name) {
    const MethodRow* found = find_row(kTests, name);
    return found == nullptr ? nullptr : found->call;
}

Method find_filter(std::string_view name) {
    for (const auto find : {find_text_filter, find_number_filter, find_sequence_filter, find_selection_filter}) {
        if (const MethodRow* found = find(name)) return found->call;
    }
    return nullptr;
}

}  // namespace rafter::text::jinja
