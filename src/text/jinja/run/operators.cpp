// Arithmetic, order and membership.
#include "text/jinja/run/operators.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <string>

#include "text/jinja/builtins/format.h"
#include "text/jinja/run/print.h"

namespace rafter::text::jinja {

namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

Error unsupported(BinaryOperator op, const Value& left, const Value& right) {
    if (left.is(Type::kUndefined)) return wrong_type("", left);
    if (right.is(Type::kUndefined)) return wrong_type("", right);
    const std::string_view symbol = kSymbols[static_cast<std::size_t>(op)];
    if (op == BinaryOperator::kAdd && left.is(Type::kString)) {
        return bad_input("can only concatenate str (not \"{}\") to str", type_name(right));
    }
    return bad_input("unsupported operand types for {}: '{}' and '{}'", symbol, type_name(left), type_name(right));
}

Error too_large(BinaryOperator op) {
    return bad_input("{}: the result is beyond an integer of 128 bits", kSymbols[static_cast<std::size_t>(op)]);
}

// Floor division and its remainder: Python rounds towards minus infinity.
Int floor_divide(Int a, Int b) {
    const Int quotient = a / b;
    return (a % b != 0 && (a % b < 0) != (b < 0)) ? quotient - 1 : quotient;
}

double floor_modulo(double a, double b) {
    double remainder = std::fmod(a, b);
    if (remainder != 0) {
        if ((remainder < 0) != (b < 0)) remainder += b;
    } else {
        remainder = std::copysign(0.0, b);
    }
    return remainder;
}

double floor_divide(double a, double b) {
    const double remainder = floor_modulo(a, b);
    const double quotient = (a - remainder) / b;
    if (quotient == 0) return std::copysign(0.0, a / b);
    const double floor = std::floor(quotient);
    return quotient - floor > 0.5 ? floor + 1 : floor;
}

Result<Value> power(Runtime& runtime, Int base, Int exponent) {
    if (exponent < 0) {
        if (base == 0) return bad_input("0 cannot be raised to a negative power");
        return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    Int result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return too_large(BinaryOperator::kPower);
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
            // 0, 1 and -1 never overflow, so the next factor is truly beyond.
            return too_large(BinaryOperator::kPower);
        }
    }
    return runtime.integer(result);
}

Result<Value> integer_binary(Runtime& runtime, BinaryOperator op, Int a, Int b) {
    Int result = 0;
    bool overflow = false;
    switch (op) {
        case BinaryOperator::kAdd:
            overflow = __builtin_add_overflow(a, b, &result);
            break;
        case BinaryOperator::kSubtract:
            overflow = __builtin_sub_overflow(a, b, &result);
            break;
        case BinaryOperator::kMultiply:
            overflow = __builtin_mul_overflow(a, b, &result);
            break;
        case BinaryOperator::kPower:
            return power(runtime, a, b);
        default: {
            if (b == 0) return bad_input("{}", op == BinaryOperator::kDivide ? "division by zero" : "integer division or modulo by zero");
            if (op == BinaryOperator::kDivide) return Value::real(static_cast<double>(a) / static_cast<double>(b));
            if (b == -1) return integer_binary(runtime, BinaryOperator::kMultiply, op == BinaryOperator::kModulo ? 0 : a, b);
            const Int quotient = floor_divide(a, b);
            result = op == BinaryOperator::kFloorDivide ? quotient : a - quotient * b;
        }
    }
    if (overflow) return too_large(op);
    return runtime.integer(result);
}

Result<Value> real_binary(BinaryOperator op, double a, double b) {
    switch (op) {
        case BinaryOperator::kAdd:
            return Value::real(a + b);
        case BinaryOperator::kSubtract:
            return Value::real(a - b);
        case BinaryOperator::kMultiply:
            return Value::real(a * b);
        case BinaryOperator::kPower: {
            if (a == 0 && b < 0) return bad_input("0.0 cannot be raised to a negative power");
            if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::trunc(b) != b) return bad_input("the result is a complex number");
            const double result = std::pow(a, b);
            if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) return bad_input("Numerical result out of range");
            return Value::real(result);
        }
        default:
            break;
    }
    if (b == 0) return bad_input("{}", op == BinaryOperator::kModulo ? "float modulo by zero" : "float division by zero");
    if (op == BinaryOperator::kDivide) return Value::real(a / b);
    return Value::real(op == BinaryOperator::kModulo ? floor_modulo(a, b) : floor_divide(a, b));
}

Result<Value> repeat(Runtime& runtime, const Value& value, Int count) {
    const bool is_text = value.is(Type::kString);
    const std::size_t unit_bytes = is_text ? text_of(value).size() : items_of(value).size() * sizeof(Value);
    if (count <= 0 || unit_bytes == 0) count = count <= 0 ? 0 : 1;
    const Int far_beyond_any_budget = Int{1} << 62;
    const Int size_bytes = std::min(count, far_beyond_any_budget) * static_cast<Int>(unit_bytes);
    RAFTER_TRY_VOID(runtime.reserve(static_cast<std::size_t>(std::min(size_bytes, far_beyond_any_budget))));
    const auto n = static_cast<std::size_t>(count);
    if (is_text) {
        std::string text;
        text.reserve(unit_bytes * n);
        for (std::size_t i = 0; i < n; ++i) text += text_of(value);
        return runtime.string_like(value, std::move(text));
    }
    std::vector<Value> items;
    items.reserve(items_of(value).size() * n);
    for (std::size_t i = 0; i < n; ++i) items.insert(items.end(), items_of(value).begin(), items_of(value).end());
    return value.is(Type::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

Result<Value> add_sequences(Runtime& runtime, const Value& left, const Value& right) {
    const auto& a = items_of(left);
    const auto& b = items_of(right);
    RAFTER_TRY_VOID(runtime.reserve((a.size() + b.size()) * sizeof(Value)));
    std::vector<Value> items;
    items.reserve(a.size() + b.size());
    items.insert(items.end(), a.begin(), a.end());
    items.insert(items.end(), b.begin(), b.end());
    return left.is(Type::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

// A plain string that meets markup is escaped first.
Result<Value> add_strings(Runtime& runtime, const Value& left, const Value& right) {
    const std::string_view a = text_of(left);
    const std::string_view b = text_of(right);
    RAFTER_TRY_VOID(runtime.reserve(a.size() + b.size()));
    if (is_markup(left) == is_markup(right)) {
        std::string text;
        text.reserve(a.size() + b.size());
        text.append(a).append(b);
        return runtime.string_like(left, std::move(text));
    }
    return runtime.markup(is_markup(left) ? std::string(a) + escape_html(b) : escape_html(a) + std::string(b));
}

Result<bool> less_items(Runtime& runtime, const std::vector<Value>& left, const std::vector<Value>& right) {
    const std::size_t n = std::min(left.size(), right.size());
    for (std::size_t i = 0; i < n; ++i) {
        RAFTER_TRY(const bool same, equals(runtime, left[i], right[i]));
        if (!same) return less(runtime, left[i], right[i]);
    }
    return left.size() < right.size();
}

Result<bool> at_most(Runtime& runtime, const Value& left, const Value& right) {
    if (left.is_number() && right.is_number()) return compare_numbers(left, right) <= 0;
    RAFTER_TRY(const bool greater, less(runtime, right, left));
    return !greater;
}

}  // namespace

Result<Value> binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
    if (left.is_integral() && right.is_integral()) return integer_binary(runtime, op, left.as_int(), right.as_int());
    if (left.is_number() && right.is_number()) return real_binary(op, left.as_real(), right.as_real());
    switch (op) {
        case BinaryOperator::kAdd:
            if (left.is(Type::kString) && right.is(Type::kString)) return add_strings(runtime, left, right);
            if (left.is_sequence() && left.type() == right.type()) return add_sequences(runtime, left, right);
            break;
        case BinaryOperator::kMultiply:
            if ((left.is(Type::kString) || left.is_sequence()) && right.is_integral()) return repeat(runtime, left, right.as_int());
            if (left.is_integral() && (right.is(Type::kString) || right.is_sequence())) return repeat(runtime, right, left.as_int());
            break;
        case BinaryOperator::kModulo:
            if (left.is(Type::kString)) return format_percent(runtime, left, right);
            break;
        default:
            break;
    }
    return unsupported(op, left, right);
}

Result<Value> negate(Runtime& runtime, const Value& value) {
    if (value.is(Type::kFloat)) return Value::real(-value.as_real());
    if (value.is_integral()) return integer_binary(runtime, BinaryOperator::kSubtract, 0, value.as_int());
    return wrong_type("a number after -", value);
}

Result<Value> plus(Runtime& runtime, const Value& value) {
    if (value.is(Type::kFloat)) return value;
    if (value.is_integral()) return runtime.integer(value.as_int());
    return wrong_type("a number after +", value);
}

Result<bool> less(Runtime& runtime, const Value& left, const Value& right) {
    RAFTER_TRY_VOID(runtime.spend(std::min(weight_of(left), weight_of(right))));
    if (left.is_number() && right.is_number()) return compare_numbers(left, right) < 0;
    // UTF-8 sorts as code points do.
    if (left.is(Type::kString) && right.is(Type::kString)) return text_of(left) < text_of(right);
    if (left.is_sequence() && left.type() == right.type()) return less_items(runtime, items_of(left), items_of(right));
    if (left.is(Type::kUndefined)) return wrong_type("", left);
    if (right.is(Type::kUndefined)) return wrong_type("", right);
    return bad_input("'<' is not supported between '{}' and '{}'", type_name(left), type_name(right));
}

Result<bool> equals(Runtime& runtime, const Value& left, const Value& right) {
    RAFTER_TRY_VOID(runtime.spend(std::min(weight_of(left), weight_of(right))));
    return equal(left, right);
}

Result<bool> compare(Runtime& runtime, Comparison op, const Value& left, const Value& right) {
    switch (op) {
        case Comparison::kEqual:
            return equals(runtime, left, right);
        case Comparison::kNotEqual: {
            RAFTER_TRY(const bool same, equals(runtime, left, right));
            return !same;
        }
        case Comparison::kLess:
            return less(runtime, left, right);
        case Comparison::kGreater:
            return less(runtime, right, left);
        case Comparison::kLessEqual:
            return at_most(runtime, left, right);
        case Comparison::kGreaterEqual:
            return at_most(runtime, right, left);
        case Comparison::kIn:
            return contains(runtime, right, left);
        case Comparison::kNotIn: {
            RAFTER_TRY(const bool found, contains(runtime, right, left));
            return !found;
        }
    }
    return false;
}

Result<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
    switch (container.type()) {
        case Type::kString:
            if (!item.is(Type::kString)) return wrong_type("a string to look for in a string", item);
            RAFTER_TRY_VOID(runtime.spend(weight_of(container)));
            return find_text(text_of(container), text_of(item)) != std::string_view::npos;
        case Type::kDict:
            RAFTER_TRY_VOID(runtime.spend(weight_of(item)));
            if (!is_hashable(item)) return bad_input("unhashable type: '{}'", type_name(item));
            return container.as<DictObject>().find(item) != nullptr;
        case Type::kRange: {
            if (!item.is_number()) return false;
            if (item.is(Type::kFloat) && std::trunc(item.as_real()) != item.as_real()) return false;
            const auto& range = container.as<RangeObject>();
            const Value whole = item.is(Type::kFloat) && std::abs(item.as_real()) < 0x1p62
                                    ? Value::integer(static_cast<std::int64_t>(item.as_real()))
                                    : item;
            if (!whole.is_integral()) return false;
            const Int offset = whole.as_int() - range.start;
            return offset % range.step == 0 && offset / range.step >= 0 && offset / range.step < range.length;
        }
        default:
            break;
    }
    if (!is_iterable(container)) return bad_input("argument of type '{}' is not iterable", type_name(container));
    RAFTER_TRY(Cursor cursor, Cursor::over(container));
    while (true) {
        RAFTER_TRY(const std::optional<Value> other, cursor.next(runtime));
        if (!other) return false;
        RAFTER_TRY(const bool same, equals(runtime, *other, item));
        if (same || other->same(item)) return true;
    }
}

std::size_t find_text(std::string_view text, std::string_view needle, std::size_t from) {
    if (from > text.size()) return std::string_view::npos;
    if (needle.empty()) return from;
    // glibc's memmem is linear; std::string_view::find is not.
    const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
    return found == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace rafter::text::jinja
