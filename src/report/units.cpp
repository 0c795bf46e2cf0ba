// Three digits that count: "1.23", "12.3", "123".
#include "report/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

namespace rafter::report {
namespace {

std::string three_digits(double n) {
    const double size = std::abs(n);
    if (size >= 99.95) return fmt::format("{:.0f}", n);
    return size >= 9.995 ? fmt::format("{:.1f}", n) : fmt::format("{:.2f}", n);
}

// So many digits that count, of a number from 0 to 1: "0.0123".
std::string small(double n, int digits) {
    const int zeros = std::max(0, -static_cast<int>(std::floor(std::log10(n))) - 1);
    std::string text = fmt::format("{:.{}f}", n, std::min(zeros + digits, 300));
    text.erase(text.find_last_not_of('0') + 1);
    return text;
}

std::string with_commas(std::string_view digits) {
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
        text += digits[i];
    }
    return text;
}

std::string scaled(double n, std::string_view unit, std::string_view no_prefix) {
    constexpr std::array<std::string_view, 11> kPrefixes{"", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q"};
    std::size_t i = 0;
    while (std::abs(n) >= 999.5 && i + 1 < kPrefixes.size()) {
        n /= 1000;
        ++i;
    }
    if (i == 0) return fmt::format("{:.0f}{}", n, no_prefix);
    return fmt::format("{} {}{}", std::abs(n) >= 999.5 ? whole(n) : three_digits(n), kPrefixes[i], unit);
}

// Days, then years: "12 days", "1,230 years".
std::string long_time(double seconds) {
    constexpr double kDay = 86400.0;
    constexpr double kYear = 365.25 * kDay;
    return seconds < 2 * kYear ? fmt::format("{} days", whole(seconds / kDay)) : fmt::format("{} years", whole(seconds / kYear));
}

}  // namespace

std::string grouped(std::uint64_t n) { return with_commas(fmt::format("{}", n)); }

std::string whole(double n) {
    if (!std::isfinite(n)) return n > 0 ? "unlimited" : "unknown";
    if (n < 1e15) return grouped(static_cast<std::uint64_t>(std::llround(n)));
    // A double of this size holds about 16 digits: more would be noise.
    const double n_zeros = std::floor(std::log10(n)) - 2;
    return with_commas(fmt::format("{:.0f}{:0<{}}", n / std::pow(10.0, n_zeros), "", static_cast<int>(n_zeros)));
}

std::string bytes(double n) { return scaled(n, "B", " B"); }
std::string bytes_per_second(double rate) { return scaled(rate, "B/s", " B/s"); }
std::string count(double n) { return scaled(n, "", ""); }

std::string seconds(double n) {
    if (n < 1e-3) return fmt::format("{:.0f} µs", n * 1e6);
    if (n < 0.9995) return fmt::format("{:.0f} ms", n * 1e3);
    if (n < 60) return fmt::format("{} s", three_digits(n));
    if (!(n < 100 * 3600.0)) return long_time(n);
    const auto rounded = static_cast<std::uint64_t>(std::llround(n));
    if (rounded < 3600) return fmt::format("{} min {} s", rounded / 60, rounded % 60);
    return fmt::format("{} h {} min", rounded / 3600, rounded % 3600 / 60);
}

std::string duration(double n) {
    if (n <= 0) return "0 s";
    if (n < 1e-11) return "under 0.01 ns";
    if (n < 0.9995e-6) return fmt::format("{} ns", three_digits(n * 1e9));
    if (n < 0.9995e-3) return fmt::format("{} µs", three_digits(n * 1e6));
    if (n < 0.9995) return fmt::format("{} ms", three_digits(n * 1e3));
    return seconds(n);
}

std::string percent(double fraction) {
    if (fraction >= 9.995) return fmt::format("{}%", whole(100 * fraction));
    return fmt::format("{:.{}f}%", 100 * fraction, fraction < 0.0995 && fraction > 0 ? 1 : 0);
}

std::string dollars(double n) {
    if (n > 0 && n < 0.0995) return fmt::format("${}", small(n, 2));
    if (n <= 0) return "$0";
    return n < 99.995 ? fmt::format("${:.2f}", n) : fmt::format("${}", whole(n));
}

std::string rate(double per_second) {
    if (per_second >= 999.5) return whole(per_second);
    if (per_second > 0 && per_second < 0.0995) return small(per_second, 3);
    return three_digits(per_second);
}

std::string factor(double times) { return fmt::format("{}x", rate(times)); }

std::string plain(double n) {
    if (!std::isfinite(n)) return n > 0 ? "inf" : "nan";
    std::array<char, 700> digits{};
    const auto [end, failed] = std::to_chars(digits.data(), digits.data() + digits.size(), n, std::chars_format::fixed);
    return failed == std::errc() ? std::string(digits.data(), end) : fmt::format("{:.0f}", n);
}

}  // namespace rafter::report
