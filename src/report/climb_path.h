// A path of measured steps across a roofline: each has its point, a number beside it and a row in the list below the chart. Steps off the
// path are hollow, with a dashed line from what they are compared with.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/plot.h"

namespace rafter::report {

struct ClimbStop {
    double intensity = 0.0;  // flops a byte
    double flop_per_s = 0.0;
    std::string mark;    // "4"
    std::string title;   // "16-bit weights"
    std::string rate;    // "79.2 tok/s"
    std::string detail;  // the numbers, lines parted by line ends
    bool on_path = true;
    std::optional<std::pair<double, double>> from;  // intensity and flop_per_s of what a step off the path is compared with
};

// Blocks in `space` what it draws. area: where numbers may stand.
void draw_climb(Svg& svg, LabelSpace& space, const LogScale& x, const LogScale& y, const Box& area, const std::vector<ClimbStop>& stops);

[[nodiscard]] double climb_list_height(const std::vector<ClimbStop>& stops, const PlotOptions& options);
void draw_climb_list(Svg& svg, const std::vector<ClimbStop>& stops, const PlotOptions& options, double top);

}  // namespace rafter::report
