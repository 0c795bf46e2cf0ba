// A log-log roofline: work on the slope waits for memory, work under the flat roof for arithmetic. Dots are ops, their area the share of
// time; the ladder is a path of whole steps. Colours are classes, which the page or plot_style() gives values for light, dark and print.
#pragma once

#include <string>
#include <vector>

#include "report/climb_path.h"
#include "report/plot.h"

namespace rafter::report {

struct RoofDot {
    double intensity = 0.0;   // flops a byte
    double flop_per_s = 0.0;  // reached
    double share = 0.0;       // of its step's time: 0..1
    std::string label;        // "attn_q+attn_k+attn_v"
    std::string detail;       // the numbers, lines parted by line ends
};
struct RoofSeries {
    std::string name;       // "decode, batch 64"
    std::string css_class;  // "s1".."s5", or "prefill"
    std::vector<RoofDot> dots;
};
struct Roof {
    std::string name;  // "bf16"
    double flop_per_s = 0.0;
};
struct LadderStep {
    double intensity = 0.0;
    double flop_per_s = 0.0;
    std::string title;   // "decode, batch 1"
    std::string detail;  // "21 tok/s"
};
struct RooflineChart {
    std::string title;
    double bytes_per_s = 0.0;
    std::vector<Roof> roofs;  // the one that the matrices run under first
    std::vector<RoofSeries> series;
    std::vector<LadderStep> ladder;
    // Instead of ops and a ladder: measured steps joined by a line. The axes are those of the steps.
    std::vector<ClimbStop> climb;
    struct Slope {
        std::string name;  // "L3 cache"
        double bytes_per_s = 0.0;
    };
    std::vector<Slope> slopes;  // of memories nearer to the cores
};

// An <svg> element; see PlotOptions.
[[nodiscard]] std::string roofline_svg(const RooflineChart& chart, const PlotOptions& options);

}  // namespace rafter::report
