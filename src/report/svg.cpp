// Plain string building: a picture has a few thousand elements.
#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rafter::report {

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '&':
                result += "&amp;";
                break;
            case '"':
                result += "&quot;";
                break;
            case '\'':
                result += "&#39;";
                break;
            default:
                // XML knows no other control characters.
                result += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
        }
    }
    return result;
}

std::string coordinate(double n) {
    if (!std::isfinite(n)) n = 0;
    std::string text = fmt::format("{:.1f}", n);
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return text == "-0" ? "0" : text;
}

void Svg::begin(std::string_view name, Attributes attributes) {
    markup_ += fmt::format("<{}", name);
    for (const auto& [key, value] : attributes) markup_ += fmt::format(" {}=\"{}\"", key, escaped(value));
}

Svg& Svg::open(std::string_view name, Attributes attributes) {
    begin(name, attributes);
    markup_ += ">";
    return *this;
}

Svg& Svg::close(std::string_view name) {
    markup_ += fmt::format("</{}>\n", name);
    return *this;
}

Svg& Svg::element(std::string_view name, Attributes attributes) {
    begin(name, attributes);
    markup_ += "/>\n";
    return *this;
}

Svg& Svg::text(double x, double y, std::string_view css_class, std::string_view content) {
    open("text", {{"x", coordinate(x)}, {"y", coordinate(y)}, {"class", std::string(css_class)}});
    markup_ += escaped(content);
    return close("text");
}

Svg& Svg::line(double x1, double y1, double x2, double y2, std::string_view css_class) {
    return element("line", {{"x1", coordinate(x1)},
                            {"y1", coordinate(y1)},
                            {"x2", coordinate(x2)},
                            {"y2", coordinate(y2)},
                            {"class", std::string(css_class)}});
}

Svg& Svg::raw(std::string_view markup) {
    markup_ += markup;
    return *this;
}

LogScale::LogScale(double low, double high, double from, double to) : low_(low), high_(high), from_(from), to_(to) {}

double LogScale::at(double value) const {
    const double inside = std::clamp(value, low_, high_);
    return from_ + (to_ - from_) * std::log(inside / low_) / std::log(high_ / low_);
}

std::string tick_label(double value) {
    constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    const double exponent = std::round(std::log10(value));
    if (value < 0.999) {
        if (exponent >= -3) return fmt::format("{:.{}f}", value, static_cast<int>(std::max(1.0, -exponent)));
        return power_of_ten(static_cast<int>(exponent));
    }
    std::size_t i = 0;
    double scaled = value;
    while (scaled >= 999.5 && i + 1 < std::size(kPrefixes)) {
        scaled /= 1000;
        ++i;
    }
    return scaled < 999.5 ? fmt::format("{:.0f}{}", scaled, kPrefixes[i]) : power_of_ten(static_cast<int>(exponent));
}

std::string power_of_ten(int exponent) {
    constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    std::string text = exponent < 0 ? "10⁻" : "10";
    for (const char digit : fmt::format("{}", std::abs(exponent))) text += kDigits[digit - '0'];
    return text;
}

}  // namespace rafter::report
