// "%s" % x and "{}".format(x), and what int() and float() accept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/builtins/arguments.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// format % values: values are a tuple, a dict for "%(name)s", or one value. Conversions are s, r, d, i, u, x, X, o, e, f, g.
[[nodiscard]] Result<Value> format_percent(Runtime& runtime, const Value& format, const Value& values);
// format.format(...)
[[nodiscard]] Result<Value> format_braces(Runtime& runtime, const Value& format, const Bound& arguments);

// "%.3f" and its kin: digits of a number that is not negative.
[[nodiscard]] std::string real_digits(double value, char type, std::int64_t precision, bool alternate);
// float("..."), int("..."): nullopt when it is no number.
[[nodiscard]] std::optional<double> parse_float(std::string_view text);
[[nodiscard]] Result<std::optional<Int>> parse_integer(std::string_view text, int base);

}  // namespace rafter::text::jinja
