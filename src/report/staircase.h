// Bandwidth against working set, drawn: the steps are the caches.
#pragma once

#include <string>
#include <vector>

namespace rafter::report {

struct StaircasePoint {
    double working_set_bytes = 0.0;
    double bytes_per_s = 0.0;
    double best_bytes_per_s = 0.0;
};
struct StaircaseLine {
    std::string label;                   // "2 threads"
    std::vector<StaircasePoint> points;  // ascending
};
struct StaircaseMark {
    std::string label;  // "L2"
    double size_bytes = 0.0;
};
struct Staircase {
    std::string title;
    std::string subtitle;
    std::vector<StaircaseLine> lines;
    std::vector<StaircaseMark> marks;  // where caches end
};

// One self-contained picture, both axes logarithmic; readable on light and dark ground. Empty without points.
[[nodiscard]] std::string staircase_svg(const Staircase& staircase);

}  // namespace rafter::report
