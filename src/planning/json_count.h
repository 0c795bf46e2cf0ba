// Counts in JSON: whole numbers as such, so that every reader finds an integer where a number of things stands.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

namespace rafter::planning {

// Bytes, flops, tokens, parameters: rounded. A number from 2^63 on stays a float, which is then exact enough.
[[nodiscard]] inline nlohmann::ordered_json json_count(double n) {
    constexpr double kLimit = 9.2e18;
    if (std::isfinite(n) && std::abs(n) < kLimit) return static_cast<std::int64_t>(std::llround(n));
    return n;
}
[[nodiscard]] inline nlohmann::ordered_json json_count(const std::optional<double>& n) {
    return n ? json_count(*n) : nlohmann::ordered_json(nullptr);
}

// A number that may be whole or not: an integer where it is one.
[[nodiscard]] inline nlohmann::ordered_json json_number(double n) { return n == std::floor(n) ? json_count(n) : nlohmann::ordered_json(n); }

}  // namespace rafter::planning
