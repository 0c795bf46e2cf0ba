// Gains one after another: each bar goes from the rate without a change to the rate with it, on one logarithmic axis, so that equal factors
// have equal lengths. A tick across the bar stands where the prediction was.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/plot.h"

namespace rafter::report {

struct WaterfallBar {
    std::string mark;              // "4"
    std::string name;              // "16-bit weights"
    std::string note;              // a line of its own under the name; empty: none
    std::optional<double> before;  // none: the bar begins at the axis
    double after = 0.0;
    std::optional<double> predicted;  // of after
    std::string rate;                 // "79.2"
    std::string gain;                 // "1.94×"
    std::string predicted_gain;       // "1.86×"; empty: not beside a gain that is a prediction itself
    std::string detail;               // the numbers, lines parted by line ends
    bool measured = true;             // false: before and after are predictions
};

struct WaterfallChart {
    std::string title, description;
    std::string x_title;               // "tok/s"
    std::vector<WaterfallBar> path;    // each begins where the one before it ends
    std::vector<WaterfallBar> others;  // each for itself, below
    std::string others_title;
};

// An <svg> element; see PlotOptions. Empty without bars.
[[nodiscard]] std::string waterfall_svg(const WaterfallChart& chart, const PlotOptions& options);

}  // namespace rafter::report
