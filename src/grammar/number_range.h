// Numbers between bounds as EBNF expressions over their digits: no leading zeros, no exponents, few enough digits to be told apart as
// doubles.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rafter::grammar {

struct IntegerBounds {
    std::optional<std::int64_t> min, max;  // both inclusive; 10^15 at most, either sign
};
// None: no integer is between them.
[[nodiscard]] std::optional<std::string> integers_between(const IntegerBounds& bounds);

struct NumberBounds {
    std::optional<double> min, max;  // 10^15 at most, either sign, and no more than 15 digits
    bool min_exclusive = false;
    bool max_exclusive = false;
};
[[nodiscard]] std::optional<std::string> numbers_between(const NumberBounds& bounds);

// Without bounds; the second with fraction and exponent.
[[nodiscard]] std::string any_integer();
[[nodiscard]] std::string any_number();

}  // namespace rafter::grammar
