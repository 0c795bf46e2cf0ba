// Two curves over one logarithmic axis, each with an axis of its own, left and right; a place on the axis that is marked, one where
// something changes, and one from which on nothing goes any more.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace rafter::report {

struct CurvePoint {
    double x = 0.0;
    double a = 0.0;  // left axis
    double b = 0.0;  // right axis
    bool possible = true;
    std::string detail;
};
struct CurveChart {
    std::string title, x_title, a_title, b_title;
    std::vector<CurvePoint> points;  // by x, all numbers above 0
    std::optional<double> here;
    std::optional<double> turn;  // and what happens there
    std::string turn_name;
    std::optional<double> wall;
    std::string wall_name;
};

// An <svg> element of 1200 x 460 units, in the classes of plot_style().
[[nodiscard]] std::string curve_svg(const CurveChart& chart);

}  // namespace rafter::report
