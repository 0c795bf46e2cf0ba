// The methods that values have: what stands after the dot. Only these can be reached; there is no way from a value to anything else.
#pragma once

#include <string_view>
#include <vector>

#include "text/jinja/builtins/arguments.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// The row of a type's method of that name; its name is static. Null when the type has no such method.
[[nodiscard]] const MethodRow* find_method(Type type, std::string_view name);
// list.append, dict.update, ...: they exist, and the sandbox does not let them be called.
[[nodiscard]] bool is_mutating_method(Type type, std::string_view name);

// Lines as Python's str.splitlines() ends them, without their ends.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text);
// Strips the given characters from either end.
enum class Side { kLeft = 1, kRight = 2, kBoth = 3 };
[[nodiscard]] std::string_view strip_characters(std::string_view text, std::string_view characters, Side side);
// At most max_count occurrences, all when it is negative.
[[nodiscard]] Result<std::string> replace_text(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                                               std::int64_t max_count);

}  // namespace rafter::text::jinja
