// What can stand after a bar and after `is`: jinja2's filters and tests as chat templates use them, with transformers' tojson.
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

#include "text/jinja/builtins/arguments.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

struct MethodRow {
    std::string_view name;
    Method call;
};

// Null when there is none of that name.
template <std::size_t N>
[[nodiscard]] const MethodRow* find_row(const MethodRow (&rows)[N], std::string_view name) {
    const auto* const found = std::ranges::find(rows, name, &MethodRow::name);
    return found == std::end(rows) ? nullptr : found;
}

// Null when there is none of that name.
[[nodiscard]] Method find_filter(std::string_view name);
[[nodiscard]] Method find_test(std::string_view name);

// The filters, by what they work on.
[[nodiscard]] const MethodRow* find_text_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_number_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_sequence_filter(std::string_view name);
[[nodiscard]] const MethodRow* find_selection_filter(std::string_view name);

// Global functions: range, dict, namespace, ... Null when there is none of that name.
[[nodiscard]] Function find_global(std::string_view name, std::string_view& static_name);

}  // namespace rafter::text::jinja
