// Two curves over one logarithmic axis, each with an axis of its own, left and right; a place on the axis that is marked, one where
// something changes, and one from which on nothing goes any more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/plot.h"

namespace rafter::report {

struct CurvePoint {
    double x = 0.0;
    double a = 0.0;  // left axis
    double b = 0.0;  // right axis
    bool possible = true;
    std::string detail;
};
struct CurveChart {
    std::string title, description, x_title, a_title, b_title;
    std::string point_name;          // before a point's x: "batch"
    std::vector<CurvePoint> points;  // by x, all numbers above 0
    std::optional<double> here;      // and what is there
    std::string here_name;
    std::optional<double> turn;  // and what happens there
    std::string turn_name;
    std::optional<double> wall;
    std::string wall_name;
};

// An <svg> element; see PlotOptions. Empty without points.
[[nodiscard]] std::string curve_svg(const CurveChart& chart, const PlotOptions& options);

}  // namespace rafter::report
