// A number and a unit.
#include "base/byte_size.h"

#include <charconv>
#include <cmath>
#include <string>

namespace rafter {

std::optional<double> byte_size(std::string_view text) {
    double n = 0.0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (failed != std::errc() || !std::isfinite(n) || n < 0) return std::nullopt;
    std::string unit;
    for (const char* c = end; c != text.data() + text.size(); ++c) {
        if (*c == ' ' && unit.empty()) continue;
        unit += static_cast<char>(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    if (unit.empty() || unit == "b") return n;
    const auto power = std::string_view("kmgt").find(unit[0]);
    if (power == std::string_view::npos) return std::nullopt;
    const std::string_view rest = std::string_view(unit).substr(1);
    if (rest == "ib" || rest == "i") return n * std::pow(1024.0, static_cast<double>(power + 1));
    if (rest == "b" || rest.empty()) return n * std::pow(1000.0, static_cast<double>(power + 1));
    return std::nullopt;
}

}  // namespace rafter
