// What all charts share: two layouts, room for labels so that none lies over another or under a marker, ticks of logarithmic axes, and the
// head of a picture that stands alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/svg.h"

namespace rafter::report {

// Text has 15 units (plot_style()). A narrow picture is 450 units wide, so that a phone of 390 pixels shows it with 13; a wide one 960.
inline constexpr double kPlotFont = 15.0;
inline constexpr double kNarrowWidth = 450.0;
inline constexpr double kWideWidth = 960.0;

struct PlotOptions {
    bool narrow = false;
    bool alone = false;                             // a file of its own: with style, title and legend in the picture
    std::vector<std::string> warnings;              // what makes the picture doubtful: its first lines, where it stands alone
    std::string before_warnings = "Not certain: ";  // each of them; empty: they are whole sentences
    [[nodiscard]] double width() const { return narrow ? kNarrowWidth : kWideWidth; }
};

struct Box {
    double left = 0.0, top = 0.0, right = 0.0, bottom = 0.0;
    [[nodiscard]] bool meets(const Box& other) const {
        return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
    }
};

enum class Anchor { kStart, kMiddle, kEnd };

// An estimate on the safe side for the fonts of plot_style().
[[nodiscard]] double text_width(std::string_view text);
// The box of a text whose baseline begins, has its middle or ends at x, y.
[[nodiscard]] Box text_box(double x, double y, Anchor anchor, std::string_view text);

// The text, or its beginning and "…" where it is wider than that. Words are cut: a picture has no second line.
[[nodiscard]] std::string fitted(std::string_view text, double width);

// What is taken of a picture's area. Markers are blocked first; a label is then drawn at the first of its places that is free.
class LabelSpace {
  public:
    explicit LabelSpace(Box area) : area_(area) {}
    void block(const Box& box) { taken_.push_back(box); }
    void block_circle(double x, double y, double radius) { block({x - radius, y - radius, x + radius, y + radius}); }
    [[nodiscard]] bool is_free_circle(double x, double y, double radius) const;
    struct Place {
        double x = 0.0, y = 0.0;
        Anchor anchor = Anchor::kStart;
    };
    // False where no place is free: the label is left out.
    bool draw(Svg& svg, std::string_view css_class, std::string_view text, const std::vector<Place>& places);

  private:
    [[nodiscard]] bool is_free(const Box& box) const;

    Box area_;
    std::vector<Box> taken_;
};

// Powers of ten between low and high, so many of them that labels at least `distance` apart fit.
[[nodiscard]] std::vector<double> decades(const LogScale& scale, double distance);

// Opens <svg> with title and description; where the picture stands alone, with style, warnings, title and legend too. Returns where the
// chart may begin. `height`: of the chart below that.
struct LegendEntry {
    std::string name, css_class;
};
[[nodiscard]] double open_picture(Svg& svg, const PlotOptions& options, std::string_view css_class, const std::string& title,
                                  const std::string& description, const std::vector<LegendEntry>& legend, double height);

}  // namespace rafter::report
