// Numbers of a question, within their ranges; messages name the option.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace rafter::planning {

[[nodiscard]] Result<double> in_range(const char* option, std::optional<double> value, double fallback, double low, double high);
[[nodiscard]] Result<double> whole_in_range(const char* option, std::optional<double> value, double fallback, double low, double high);
[[nodiscard]] std::string shown(double n);  // "1,000,000", "0.5"

}  // namespace rafter::planning
