// What can stand after `is`.
#include <string>

#include "text/jinja/filters.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

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
bool is_escaped(const Value& value) { return is_markup(value); }
bool can_be_walked(const Value& value) { return is_iterable(value) || value.is(Type::kLoop); }

bool is_sequence(const Value& value) {
    switch (value.type()) {
        case Type::kUndefined:
        case Type::kString:
        case Type::kList:
        case Type::kTuple:
        case Type::kDict:
        case Type::kRange:
            return true;
        default:
            return false;
    }
}

bool is_callable(const Value& value) {
    switch (value.type()) {
        case Type::kUndefined:
        case Type::kFunction:
        case Type::kMethod:
        case Type::kMacro:
        case Type::kLoop:
        case Type::kJoiner:
            return true;
        default:
            return false;
    }
}

template <int kRemainder>
Result<Value> parity(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(const Bound none, bind(call, kRemainder == 0 ? "even" : "odd", {}));
    RAFTER_TRY(const Value remainder, binary(runtime, BinaryOperator::kModulo, value, Value::integer(2)));
    return Value::boolean(equal(remainder, Value::integer(kRemainder)));
}

Result<Value> divisibleby(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "divisibleby", {"num"}, 1));
    RAFTER_TRY(const Value remainder, binary(runtime, BinaryOperator::kModulo, value, bound[0]));
    return Value::boolean(equal(remainder, Value::integer(0)));
}

template <Comparison kComparison>
Result<Value> comparison(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "test", {"other"}, 1));
    RAFTER_TRY(const bool holds, compare(runtime, kComparison, value, bound[0]));
    return Value::boolean(holds);
}

Result<Value> sameas(Runtime&, const Value& value, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "sameas", {"other"}, 1));
    return Value::boolean(value.same(bound[0]));
}

Result<Value> in(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(const Bound bound, bind(call, "in", {"seq"}, 1));
    RAFTER_TRY(const bool found, contains(runtime, bound[0], value));
    return Value::boolean(found);
}

// islower and isupper of the value's text.
template <bool kUpper>
Result<Value> has_case(Runtime& runtime, const Value& value, Call call) {
    RAFTER_TRY(std::string text, to_text(runtime, value));
    std::string_view name;
    const Method method = find_string_method(kUpper ? "isupper" : "islower", name);
    return method(runtime, runtime.string(std::move(text)), call);
}

template <Method (*Find)(std::string_view)>
Result<Value> exists(Runtime&, const Value& value, Call call) {
    RAFTER_TRY(const Bound none, bind(call, "test", {}));
    if (!is_hashable(value)) return bad_input("unhashable type: '{}'", type_name(value));
    return Value::boolean(value.is(Type::kString) && Find(text_of(value)) != nullptr);
}

constexpr MethodRow kTests[] = {
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisibleby},
    {"defined", simple<is_defined>},
    {"undefined", simple<is_type<Type::kUndefined>>},
    {"filter", exists<find_filter>},
    {"test", exists<find_test>},
    {"none", simple<is_type<Type::kNone>>},
    {"boolean", simple<is_type<Type::kBool>>},
    {"false", simple<is_false>},
    {"true", simple<is_true>},
    {"integer", simple<is_type<Type::kInt>>},
    {"float", simple<is_type<Type::kFloat>>},
    {"lower", has_case<false>},
    {"upper", has_case<true>},
    {"string", simple<is_type<Type::kString>>},
    {"mapping", simple<is_type<Type::kDict>>},
    {"number", simple<is_number>},
    {"sequence", simple<is_sequence>},
    {"iterable", simple<can_be_walked>},
    {"callable", simple<is_callable>},
    {"sameas", sameas},
    {"escaped", simple<is_escaped>},
    {"in", in},
    {"==", comparison<Comparison::kEqual>},
    {"eq", comparison<Comparison::kEqual>},
    {"equalto", comparison<Comparison::kEqual>},
    {"!=", comparison<Comparison::kNotEqual>},
    {"ne", comparison<Comparison::kNotEqual>},
    {">", comparison<Comparison::kGreater>},
    {"gt", comparison<Comparison::kGreater>},
    {"greaterthan", comparison<Comparison::kGreater>},
    {"ge", comparison<Comparison::kGreaterEqual>},
    {">=", comparison<Comparison::kGreaterEqual>},
    {"<", comparison<Comparison::kLess>},
    {"lt", comparison<Comparison::kLess>},
    {"lessthan", comparison<Comparison::kLess>},
    {"<=", comparison<Comparison::kLessEqual>},
    {"le", comparison<Comparison::kLessEqual>},
};

}  // namespace

Method find_test(std::string_view name) {
    for (const MethodRow& row : kTests) {
        if (row.name == name) return row.call;
    }
    return nullptr;
}

Method find_filter(std::string_view name) {
    for (const auto find : {find_text_filter, find_number_filter, find_sequence_filter, find_selection_filter}) {
        if (const Method found = find(name)) return found;
    }
    return nullptr;
}

}  // namespace rafter::text::jinja
