// Alternatives by what they cost and what they reach: each is a numbered point, those that no other beats in both are joined by a line (the
// Pareto front). Right and down is better.
#pragma once

#include <string>
#include <vector>

#include "report/plot.h"

namespace rafter::report {

struct TradeoffPoint {
    double x = 0.0;        // reached, above 0: tokens a second
    double y = 0.0;        // lost, at least 0: KL divergence
    double y_error = 0.0;  // a bar of twice this height
    std::string mark;      // "2"
    std::string title;     // "SmolLM2 135M Instruct, Q4_0"
    std::string detail;    // the numbers, lines parted by line ends
    bool on_front = false;
};
struct TradeoffChart {
    std::string title, description, x_title, y_title;
    std::vector<TradeoffPoint> points;
};

// Indices of the points that no other point beats: none has at least as much x and at most as much y, one of them truly better. By x,
// falling. Of equal points all are there.
[[nodiscard]] std::vector<std::size_t> pareto_front(const std::vector<TradeoffPoint>& points);

// An <svg> element, both axes logarithmic; see PlotOptions. Points of y = 0 lie on the lower edge. Empty without points, or where one has
// numbers that cannot be drawn.
[[nodiscard]] std::string tradeoff_svg(const TradeoffChart& chart, const PlotOptions& options);

// The same for a terminal: lines of at most `columns` characters; "" where the picture would be.
[[nodiscard]] std::string tradeoff_text(const TradeoffChart& chart, std::size_t columns);

}  // namespace rafter::report
