// Three digits that count: "1.23", "12.3", "123".
#include "report/units.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

namespace rafter::report {
namespace {

std::string three_digits(double n) {
    const double size = std::abs(n);
    if (size >= 99.95) return fmt::format("{:.0f}", n);
    return size >= 9.995 ? fmt::format("{:.1f}", n) : fmt::format("{:.2f}", n);
}

std::string scaled(double n, std::string_view unit, std::string_view no_prefix) {
    constexpr std::array<std::string_view, 6> kPrefixes{"", "k", "M", "G", "T", "P"};
    std::size_t i = 0;
    while (std::abs(n) >= 999.5 && i + 1 < kPrefixes.size()) {
        n /= 1000;
        ++i;
    }
    if (i == 0) return fmt::format("{:.0f}{}", n, no_prefix);
    return fmt::format("{} {}{}", three_digits(n), kPrefixes[i], unit);
}

}  // namespace

std::string grouped(std::uint64_t n) {
    std::string digits = fmt::format("{}", n);
    for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
    return digits;
}

std::string whole(double n) { return n < 1e15 ? grouped(static_cast<std::uint64_t>(std::llround(n))) : fmt::format("{:.3g}", n); }

std::string bytes(double n) { return scaled(n, "B", " B"); }
std::string bytes_per_second(double rate) { return scaled(rate, "B/s", " B/s"); }
std::string count(double n) { return scaled(n, "", ""); }

std::string seconds(double n) {
    if (n < 1e-3) return fmt::format("{:.0f} µs", n * 1e6);
    if (n < 0.9995) return fmt::format("{:.0f} ms", n * 1e3);
    if (n < 60) return fmt::format("{} s", three_digits(n));
    if (n >= 1e15) return fmt::format("{:.3g} s", n);
    const auto rounded = static_cast<std::uint64_t>(std::llround(n));
    if (rounded < 3600) return fmt::format("{} min {} s", rounded / 60, rounded % 60);
    return fmt::format("{} h {} min", rounded / 3600, rounded % 3600 / 60);
}

std::string duration(double n) {
    if (n < 1e-6) return fmt::format("{:.3g} ns", n * 1e9);
    if (n < 1e-3) return fmt::format("{:.3g} µs", n * 1e6);
    if (n < 0.9995) return fmt::format("{:.3g} ms", n * 1e3);
    return seconds(n);
}

std::string percent(double fraction) { return fmt::format("{:.{}f}%", 100 * fraction, fraction < 0.0995 && fraction > 0 ? 1 : 0); }

std::string dollars(double n) {
    if (n < 0.0995) return fmt::format("${:.2g}", n);
    return n < 100 ? fmt::format("${:.2f}", n) : fmt::format("${}", whole(n));
}

std::string rate(double per_second) {
    if (per_second >= 999.5) return whole(per_second);
    return three_digits(per_second);
}

}  // namespace rafter::report
