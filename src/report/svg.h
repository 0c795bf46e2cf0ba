// Writing SVG: elements with escaped attributes and text. Coordinates have a tenth of a unit, which is finer than a pixel.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace rafter::report {

[[nodiscard]] std::string escaped(std::string_view text);  // for text and attributes of XML and HTML
[[nodiscard]] std::string coordinate(double n);

class Svg {
  public:
    using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;

    Svg& open(std::string_view name, Attributes attributes = {});
    Svg& close(std::string_view name);
    Svg& element(std::string_view name, Attributes attributes);  // without content
    Svg& text(double x, double y, std::string_view css_class, std::string_view content);
    Svg& line(double x1, double y1, double x2, double y2, std::string_view css_class);
    Svg& raw(std::string_view markup);
    [[nodiscard]] std::string take() { return std::move(markup_); }

  private:
    void begin(std::string_view name, Attributes attributes);
    std::string markup_;
};

// A logarithmic axis: data from low to high lie between the pixels `from` and `to`.
class LogScale {
  public:
    LogScale(double low, double high, double from, double to);
    [[nodiscard]] double at(double value) const;  // values outside are brought to the nearer end
    [[nodiscard]] double low() const { return low_; }
    [[nodiscard]] double high() const { return high_; }

  private:
    double low_, high_, from_, to_;
};

// "1k", "100", "0.1", "10T", "10⁻⁵": a power of ten as a tick says it.
[[nodiscard]] std::string tick_label(double value);
[[nodiscard]] std::string power_of_ten(int exponent);  // "10⁻⁵"

}  // namespace rafter::report
