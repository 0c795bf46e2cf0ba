// What can stand after a bar and after `is`: jinja2's filters and tests as chat templates use them, with transformers' tojson.
#pragma once

#include <string_view>

#include "text/jinja/builtins/arguments.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// Null when there is none of that name.
[[nodiscard]] const MethodRow* find_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_test(std::string_view name);
[[nodiscard]] const MethodRow* find_global(std::string_view name);  // range, dict, namespace, ...

// The filters, by what they work on.
[[nodiscard]] const MethodRow* find_text_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_number_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_sequence_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_selection_filter(std::string_view name);

}  // namespace rafter::text::jinja
