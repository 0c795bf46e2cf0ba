// What can stand after `is`.
#include "text/jinja/builtins/filters.h"
#include "text/jinja/run/operators.h"

namespace rafter::text::jinja {

namespace {

// Tests of the value alone.
template <bool (*Holds)(const Value&)>
Result<Value> simple(Runtime&, const Value& value, const Bound&) {
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
Result<Value> parity(Runtime& runtime, const Value& value, const Bound&) {
    RAFTER_TRY(const Value remainder, binary(runtime, BinaryOperator::kModulo, value, Value::integer(2)));
    return Value::boolean(equal(remainder, Value::integer(kRemainder)));
}

template <Comparison kComparison>
Result<Value> comparison(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const bool holds, compare(runtime, kComparison, value, bound[0]));
    return Value::boolean(holds);
}

constexpr MethodRow kTests[] = {
    {"boolean", simple<is_type<Type::kBool>>},
    {"defined", simple<is_defined>},
    {"eq", comparison<Comparison::kEqual>, "other", 1},
    {"equalto", comparison<Comparison::kEqual>, "other", 1},
    {"even", parity<0>},
    {"false", simple<is_false>},
    {"float", simple<is_type<Type::kFloat>>},
    {"ge", comparison<Comparison::kGreaterEqual>, "other", 1},
    {"gt", comparison<Comparison::kGreater>, "other", 1},
    {"in", comparison<Comparison::kIn>, "other", 1},
    {"integer", simple<is_type<Type::kInt>>},
    {"iterable", simple<can_be_walked>},
    {"le", comparison<Comparison::kLessEqual>, "other", 1},
    {"lt", comparison<Comparison::kLess>, "other", 1},
    {"mapping", simple<is_type<Type::kDict>>},
    {"ne", comparison<Comparison::kNotEqual>, "other", 1},
    {"none", simple<is_type<Type::kNone>>},
    {"number", simple<is_number>},
    {"odd", parity<1>},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_type<Type::kString>>},
    {"true", simple<is_true>},
    {"undefined", simple<is_type<Type::kUndefined>>},
};

}  // namespace

const MethodRow* find_test(std::string_view name) { return find_row(kTests, name); }

const MethodRow* find_filter(std::string_view name) {
    for (const auto find : {find_text_filter, find_number_filter, find_sequence_filter, find_selection_filter}) {
        if (const MethodRow* found = find(name)) return found;
    }
    return nullptr;
}

}  // namespace rafter::text::jinja
