// https://pkg.go.dev/time#ParseDuration
#include "protocols/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace rafter::protocols {
namespace {

// Longer ones before those that they begin with.
constexpr std::array<std::pair<std::string_view, double>, 8> kUnits{
    {{"ns", 1e-9}, {"us", 1e-6}, {"µs", 1e-6}, {"μs", 1e-6}, {"ms", 1e-3}, {"s", 1.0}, {"m", 60.0}, {"h", 3600.0}}};

// Takes digits with at most one point from the front; none: there is no digit.
std::optional<double> take_number(std::string_view& text) {
    const std::size_t n = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + n, value, std::chars_format::fixed);
    if (error != std::errc() || end != text.data() + n) return std::nullopt;
    text.remove_prefix(n);
    return value;
}

}  // namespace

std::optional<double> duration_seconds(std::string_view text) {
    double sign = 1.0;
    if (text.starts_with('-') || text.starts_with('+')) {
        sign = text.front() == '-' ? -1.0 : 1.0;
        text.remove_prefix(1);
    }
    double seconds = 0.0;
    for (bool first = true; first || !text.empty(); first = false) {
        const std::optional<double> number = take_number(text);
        if (!number) return std::nullopt;
        if (text.empty() && first) return sign * *number;
        double unit_seconds = 0.0;
        for (const auto& [unit, each] : kUnits) {
            if (!text.starts_with(unit)) continue;
            text.remove_prefix(unit.size());
            unit_seconds = each;
            break;
        }
        if (unit_seconds == 0.0) return std::nullopt;
        seconds += *number * unit_seconds;
    }
    return std::isfinite(seconds) ? std::optional(sign * seconds) : std::nullopt;
}

}  // namespace rafter::protocols
