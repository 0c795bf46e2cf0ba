// In the layout and the classes of the other charts, as a picture that stands alone.
#include "report/staircase.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "report/plot.h"
#include "report/units.h"

namespace rafter::report {
namespace {

constexpr std::size_t kHues = 4;

// Working sets are counted in powers of two: "32 KiB".
std::string binary_size(double bytes) {
    constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (bytes >= 1024.0 && unit + 1 < kUnits.size()) {
        bytes /= 1024.0;
        ++unit;
    }
    return fmt::format("{} {}", whole(bytes), kUnits[unit]);
}

std::string path_of(const StaircaseLine& line, const LogScale& x, const LogScale& y, double StaircasePoint::*rate) {
    std::string path;
    for (const StaircasePoint& p : line.points) {
        path += fmt::format("{}{} {}", path.empty() ? "M" : "L", coordinate(x.at(p.working_set_bytes)), coordinate(y.at(p.*rate)));
    }
    return path;
}

class Drawing {
  public:
    explicit Drawing(const Staircase& staircase) : s_(staircase), x_(1, 2, 0, 1), y_(1, 2, 1, 0) {
        for (const StaircaseLine& line : s_.lines) {
            for (const StaircasePoint& p : line.points) {
                low_x_ = std::min(low_x_, p.working_set_bytes);
                high_x_ = std::max(high_x_, p.working_set_bytes);
                low_y_ = std::min(low_y_, p.bytes_per_s);
                high_y_ = std::max(high_y_, p.best_bytes_per_s);
            }
        }
    }
    [[nodiscard]] bool empty() const { return !(high_x_ > 0.0 && low_y_ > 0.0); }

    std::string run() && {
        constexpr double kPlotHeight = 320;
        std::vector<LegendEntry> legend;
        for (std::size_t i = 0; i < s_.lines.size(); ++i) legend.push_back({s_.lines[i].label, fmt::format("f{}", i % kHues)});
        const PlotOptions options{.narrow = true, .alone = true, .warnings = {}};
        const double begin = open_picture(svg_, options, "staircase", s_.title, s_.subtitle, legend, 34 + kPlotHeight + 60);
        left_ = 82;
        right_ = options.width() - 18;
        top_ = begin + 34;
        bottom_ = top_ + kPlotHeight;
        x_ = LogScale(low_x_, std::max(high_x_, 2 * low_x_), left_, right_);
        y_ = LogScale(low_y_ / 1.5, high_y_ * 1.3, bottom_, top_);
        space_ = LabelSpace({left_ + 2, top_ + 2, right_ - 2, bottom_ - 2});
        axes();
        curves();
        marks();
        return svg_.close("svg").take();
    }

  private:
    void axes() {
        svg_.text(10, top_ - 16, "axis", "bytes read a second");
        double last = bottom_ + 26;
        for (double decade = std::pow(10.0, std::floor(std::log10(y_.low()))); decade < y_.high(); decade *= 10) {
            for (const double step : {1.0, 2.0, 5.0}) {
                const double rate = decade * step;
                if (rate < y_.low() || rate > y_.high() || last - y_.at(rate) < 22) continue;
                last = y_.at(rate);
                svg_.line(left_, last, right_, last, "grid");
                svg_.text(left_ - 8, last + 5, "tick end",
                          rate >= 1e9 ? fmt::format("{} GB/s", whole(rate / 1e9)) : bytes_per_second(rate));
            }
        }
        // So many doublings apart that labels do not touch.
        const double first = std::exp2(std::ceil(std::log2(x_.low())));
        const double per_doubling = (right_ - left_) / std::log2(x_.high() / x_.low());
        const double step = std::max(1.0, std::ceil((text_width("256 KiB") + 8) / per_doubling));
        for (double size = first; size <= x_.high() * 1.01; size *= std::exp2(step)) {
            const std::string text = binary_size(size);
            const double x = std::min(x_.at(size), right_ + 16 - text_width(text) / 2);
            svg_.text(x, bottom_ + 22, "tick middle", text);
        }
        svg_.text((left_ + right_) / 2, bottom_ + 47, "axis middle", "working set of all threads");
    }

    void curves() {
        for (std::size_t i = 0; i < s_.lines.size(); ++i) {
            const StaircaseLine& line = s_.lines[i];
            const std::size_t hue = i % kHues;
            svg_.element("path",
                         {{"class", fmt::format("stair best l{}", hue)}, {"d", path_of(line, x_, y_, &StaircasePoint::best_bytes_per_s)}});
            svg_.element("path", {{"class", fmt::format("stair l{}", hue)}, {"d", path_of(line, x_, y_, &StaircasePoint::bytes_per_s)}});
            for (const StaircasePoint& p : line.points) {
                space_.block_circle(x_.at(p.working_set_bytes), y_.at(p.bytes_per_s), 6);
                svg_.open("circle", {{"class", fmt::format("f{}", hue)},
                                     {"cx", coordinate(x_.at(p.working_set_bytes))},
                                     {"cy", coordinate(y_.at(p.bytes_per_s))},
                                     {"r", "3.6"}});
                svg_.open("title")
                    .raw(escaped(fmt::format("{}, {}: {}, at best {}", line.label, bytes(p.working_set_bytes),
                                             bytes_per_second(p.bytes_per_s), bytes_per_second(p.best_bytes_per_s))))
                    .close("title")
                    .close("circle");
            }
        }
    }

    void marks() {
        for (const StaircaseMark& mark : s_.marks) {
            if (mark.size_bytes < x_.low() || mark.size_bytes > x_.high()) continue;
            const double x = x_.at(mark.size_bytes);
            svg_.line(x, top_, x, bottom_, "ridge");
            std::vector<LabelSpace::Place> places;
            for (double y = bottom_ - 8; y > top_ + 14; y -= 18) {
                places.push_back({x - 5, y, Anchor::kEnd});
                places.push_back({x + 5, y, Anchor::kStart});
            }
            space_.draw(svg_, "note", mark.label, places);
        }
    }

    const Staircase& s_;
    double low_x_ = std::numeric_limits<double>::max(), high_x_ = 0.0;
    double low_y_ = std::numeric_limits<double>::max(), high_y_ = 0.0;
    double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
    LogScale x_, y_;
    LabelSpace space_{Box{}};
    Svg svg_;
};

}  // namespace

std::string staircase_svg(const Staircase& staircase) {
    Drawing drawing(staircase);
    if (drawing.empty()) return "";
    return std::move(drawing).run();
}

}  // namespace rafter::report
