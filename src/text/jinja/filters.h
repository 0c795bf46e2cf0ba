// What can stand after a bar and after `is`: jinja2's builtin filters and tests, with transformers' tojson.
#pragma once

#include <string_view>

#include "text/jinja/arguments.h"
#include "text/jinja/runtime.h"

namespace rafter::text::jinja {

// Null when there is none of that name.
[[nodiscard]] Method find_filter(std::string_view name);
[[nodiscard]] Method find_test(std::string_view name);

struct MethodRow {
    std::string_view name;
    Method call;
};

// The filters, by what they work on.
[[nodiscard]] Method find_text_filter(std::string_view name);
[[nodiscard]] Method find_number_filter(std::string_view name);
[[nodiscard]] Method find_sequence_filter(std::string_view name);
[[nodiscard]] Method find_selection_filter(std::string_view name);

// Global functions: range, dict, namespace, ... Null when there is none of that name.
[[nodiscard]] Function find_global(std::string_view name, std::string_view& static_name);

}  // namespace rafter::text::jinja
