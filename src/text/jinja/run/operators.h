// Python's operators over values: arithmetic, comparison, membership, attributes, elements and slices.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

enum class BinaryOperator : std::uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class Comparison : std::uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

[[nodiscard]] Result<Value> binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
[[nodiscard]] Result<Value> negate(Runtime& runtime, const Value& value);
[[nodiscard]] Result<Value> plus(Runtime& runtime, const Value& value);
[[nodiscard]] Result<bool> compare(Runtime& runtime, Comparison op, const Value& left, const Value& right);
// left < right: numbers, strings, lists and tuples; everything else cannot be ordered.
[[nodiscard]] Result<bool> less(Runtime& runtime, const Value& left, const Value& right);
// ==, spending its steps.
[[nodiscard]] Result<bool> equals(Runtime& runtime, const Value& left, const Value& right);
[[nodiscard]] Result<bool> contains(Runtime& runtime, const Value& container, const Value& item);

// owner.name: Python's attributes come before the keys of a dict, so message.items is the method.
[[nodiscard]] Result<Value> get_attribute(Runtime& runtime, const Value& owner, std::string_view name);
// owner[key]: elements come before attributes.
[[nodiscard]] Result<Value> get_item(Runtime& runtime, const Value& owner, const Value& key);
// The attribute alone, without a look at elements; missing when there is none.
[[nodiscard]] Result<Value> find_attribute(Runtime& runtime, const Value& owner, std::string_view name);
// namespace.name = value
[[nodiscard]] Result<void> set_attribute(Runtime& runtime, const Value& name_space, std::string_view name, Value value);
[[nodiscard]] Result<Value> get_slice(Runtime& runtime, const Value& owner, const Value& start, const Value& stop, const Value& step);

// The first occurrence at or after byte `from`, npos when there is none. Linear in the text, whatever the needle.
[[nodiscard]] std::size_t find_text(std::string_view text, std::string_view needle, std::size_t from = 0);

// Sorts positions by what key_of() says of each, ascending or descending; equal keys keep their order. Fails when keys cannot be compared.
enum class SortOrder { kAscending, kDescending };
template <typename KeyOf>
[[nodiscard]] Result<void> stable_sort_by(Runtime& runtime, std::vector<std::size_t>& positions, KeyOf key_of,
                                          SortOrder order = SortOrder::kAscending) {
    Result<void> outcome;
    std::stable_sort(positions.begin(), positions.end(), [&](std::size_t a, std::size_t b) {
        if (!outcome) return false;
        const Result<bool> is_less =
            order == SortOrder::kAscending ? less(runtime, key_of(a), key_of(b)) : less(runtime, key_of(b), key_of(a));
        if (is_less) return *is_less;
        outcome = is_less.error();
        return false;
    });
    return outcome;
}

}  // namespace rafter::text::jinja
