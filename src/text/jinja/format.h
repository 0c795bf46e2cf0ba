// Python's two ways to fill values into a text: "%s" % x and "{}".format(x).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/arguments.h"
#include "text/jinja/runtime.h"

namespace rafter::text::jinja {

// format % values: values are a tuple, a dict for "%(name)s", or one value.
[[nodiscard]] Result<Value> format_percent(Runtime& runtime, const Value& format, const Value& values);
// format.format(...)
[[nodiscard]] Result<Value> format_braces(Runtime& runtime, const Value& format, const Arguments& arguments);

// What stands between a '%' or ':' and the letter that names the conversion.
struct FormatSpec {
    std::string fill = " ";  // one character
    char align = 0;          // < > ^ or = (between sign and digits); 0: the type's own
    char sign = '-';         // + or ' ' or -
    bool alternate = false;  // 0x before hexadecimal digits, ...
    char grouping = 0;       // , or _
    std::int64_t width = 0;
    std::optional<std::int64_t> precision;
    char type = 0;
};

[[nodiscard]] Result<std::string> format_integer(Runtime& runtime, Int value, const FormatSpec& spec);
[[nodiscard]] Result<std::string> format_real(Runtime& runtime, double value, const FormatSpec& spec);
[[nodiscard]] Result<std::string> format_text(Runtime& runtime, std::string_view text, const FormatSpec& spec);
// "%.3f" and its kin, without width: digits of a number that is not negative.
[[nodiscard]] std::string real_digits(double value, char type, std::int64_t precision, bool alternate);
// format(value, spec)
[[nodiscard]] Result<std::string> format_value(Runtime& runtime, const Value& value, std::string_view spec);

// float("..."), int("..."): nullopt when it is no number.
[[nodiscard]] std::optional<double> parse_float(std::string_view text);
[[nodiscard]] Result<std::optional<Int>> parse_integer(std::string_view text, int base);

}  // namespace rafter::text::jinja
