// The methods that values have: what stands after the dot. Only these can be reached; there is no way from a value to anything else.
#pragma once

#include <string_view>

#include "text/jinja/arguments.h"
#include "text/jinja/runtime.h"

namespace rafter::text::jinja {

// Null when the type has no such method.
[[nodiscard]] Method find_string_method(std::string_view name, std::string_view& static_name);
[[nodiscard]] Method find_container_method(Type type, std::string_view name, std::string_view& static_name);
// list.append, dict.update, ...: they exist, and the sandbox does not let them be called.
[[nodiscard]] bool is_mutating_method(Type type, std::string_view name);

// str.split() and its kin, also used by filters.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
// Strips the given characters, or white space, from either end.
enum class Side { kLeft = 1, kRight = 2, kBoth = 3 };
[[nodiscard]] std::string_view strip_characters(std::string_view text, std::string_view characters, Side side);
// At most max_count occurrences, all when it is negative.
[[nodiscard]] Result<std::string> replace_text(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                                               std::int64_t max_count);
[[nodiscard]] Result<std::string> center_text(Runtime& runtime, std::string_view text, std::int64_t width, std::string_view fill);

}  // namespace rafter::text::jinja
