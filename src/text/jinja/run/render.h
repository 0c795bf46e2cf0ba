// A template's text for given variables.
#pragma once

#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/parse/ast.h"
#include "text/jinja/run/runtime.h"

namespace rafter::text::jinja {

// JSON as a value. Fails on what is nested too deeply. Strings that are not UTF-8 are made so.
[[nodiscard]] Result<Value> to_value(Runtime& runtime, const nlohmann::ordered_json& json, std::uint32_t depth = 0);

struct RenderOptions {
    Limits limits;
    std::optional<std::tm> now;  // local time for strftime_now; the clock's when absent
};

// Borrowed for the call.
using Variables = std::vector<std::pair<std::string_view, const nlohmann::ordered_json*>>;

// Errors name the template, line and column. Any number of threads may render one template.
[[nodiscard]] Result<std::string> render(const Template& parsed, const Variables& variables, const RenderOptions& options);

}  // namespace rafter::text::jinja
