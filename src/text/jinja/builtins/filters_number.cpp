// Filters that make numbers.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "text/jinja/builtins/filters.h"
#include "text/jinja/builtins/format.h"
#include "text/jinja/run/operators.h"

namespace rafter::text::jinja {

namespace {

Result<Value> absolute(Runtime& runtime, const Value& value, const Bound&) {
    if (value.is(Type::kFloat)) return Value::real(std::abs(value.as_real()));
    if (!value.is_integral()) return wrong_type("a number", value).within("abs");
    return value.as_int() < 0 ? negate(runtime, value) : runtime.integer(value.as_int());
}

// A float without its fraction; nullopt when no integer of ours can hold it.
std::optional<Int> truncated(double real) {
    if (!std::isfinite(real) || std::abs(real) >= 0x1p126) return std::nullopt;
    return static_cast<Int>(std::trunc(real));
}

Result<Value> integer(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::int64_t base, bound.integer_or(1, 10));
    const Value otherwise = bound.has(0) ? bound[0] : Value::integer(0);
    if (value.is(Type::kUndefined)) return wrong_type("", value);
    if (value.is_integral()) return runtime.integer(value.as_int());
    if (value.is(Type::kFloat)) {
        if (std::isnan(value.as_real())) return otherwise;
        const auto whole = truncated(value.as_real());
        if (!whole) return bad_input("int: cannot convert the float to an integer");
        return runtime.integer(*whole);
    }
    if (!value.is(Type::kString)) return otherwise;
    const bool valid_base = base == 0 || (base >= 2 && base <= 36);
    if (valid_base) {
        RAFTER_TRY(const auto parsed, parse_integer(text_of(value), static_cast<int>(base)));
        if (parsed) return runtime.integer(*parsed);
    }
    // "42.23"|int is 42.
    const auto real = parse_float(text_of(value));
    const auto whole = real ? truncated(*real) : std::nullopt;
    return whole ? runtime.integer(*whole) : otherwise;
}

Result<Value> real(Runtime&, const Value& value, const Bound& bound) {
    if (value.is(Type::kUndefined)) return wrong_type("", value);
    if (value.is_number()) return Value::real(value.as_real());
    const auto parsed = value.is(Type::kString) ? parse_float(text_of(value)) : std::nullopt;
    if (parsed) return Value::real(*parsed);
    return bound.has(0) ? bound[0] : Value::real(0.0);
}

// To so many decimal places, halves of the exact value to the even digit.
double rounded(double value, std::int64_t n_places) {
    if (!std::isfinite(value) || n_places > 323) return value;
    if (n_places < -308) return std::copysign(0.0, value);
    if (n_places >= 0) return std::copysign(std::strtod(real_digits(std::abs(value), 'f', n_places, false).c_str(), nullptr), value);
    const double power = std::pow(10.0, static_cast<double>(-n_places));
    return std::nearbyint(value / power) * power;
}

Result<Value> rounded_integer(Runtime& runtime, Int value, std::int64_t n_places) {
    if (n_places >= 0) return runtime.integer(value);
    if (n_places < -37) return Value::integer(0);
    Int power = 1;
    for (std::int64_t i = n_places; i < 0; ++i) power *= 10;
    Int quotient = value / power;
    const Int rest = value % power < 0 ? -(value % power) : value % power;
    if (rest * 2 > power || (rest * 2 == power && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
    return runtime.integer(quotient * power);
}

Result<Value> round(Runtime& runtime, const Value& value, const Bound& bound) {
    RAFTER_TRY(const std::string_view method, bound.text_or(1, "common"));
    if (method != "common" && method != "ceil" && method != "floor") return bad_input("round: method must be common, ceil or floor");
    if (!value.is_number()) return wrong_type("a number", value).within("round");
    if (method == "common") {
        const bool to_integer = bound.has(0) && bound[0].is(Type::kNone);
        std::int64_t n_places = 0;
        if (!to_integer) {
            RAFTER_TRY(n_places, bound.integer_or(0, 0));
        }
        if (value.is_integral()) return rounded_integer(runtime, value.as_int(), n_places);
        if (!to_integer) return Value::real(rounded(value.as_real(), n_places));
        const auto whole = truncated(std::nearbyint(value.as_real()));
        if (!whole) return bad_input("round: cannot convert the float to an integer");
        return runtime.integer(*whole);
    }
    const Value n_places = bound.has(0) ? bound[0] : Value::integer(0);
    RAFTER_TRY(const Value power, binary(runtime, BinaryOperator::kPower, Value::integer(10), n_places));
    RAFTER_TRY(const Value scaled, binary(runtime, BinaryOperator::kMultiply, value, power));
    Int whole = scaled.is_integral() ? scaled.as_int() : 0;
    if (scaled.is(Type::kFloat)) {
        const auto cut = truncated(method == "ceil" ? std::ceil(scaled.as_real()) : std::floor(scaled.as_real()));
        if (!cut) return bad_input("round: cannot convert the float to an integer");
        whole = *cut;
    }
    return binary(runtime, BinaryOperator::kDivide, runtime.integer(whole), power);
}

constexpr MethodRow kNumberFilters[] = {
    {"abs", absolute},
    {"float", real, "default"},
    {"int", integer, "default base"},
    {"round", round, "precision method"},
};

}  // namespace

const MethodRow* find_number_filter(std::string_view name) { return find_row(kNumberFilters, name); }

}  // namespace rafter::text::jinja
