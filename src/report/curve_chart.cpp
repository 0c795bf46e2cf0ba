// Axes end at round numbers around the data.
#include "report/curve_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/svg.h"

namespace rafter::report {
namespace {

constexpr double kLeft = 92, kRight = 1108, kTop = 50, kBottom = 390;

struct Range {
    double low, high;
};
template <typename Get>
Range range_of(const std::vector<CurvePoint>& points, Get get) {
    double low = get(points.front());
    double high = low;
    for (const CurvePoint& p : points) {
        low = std::min(low, get(p));
        high = std::max(high, get(p));
    }
    return {std::pow(10.0, std::floor(std::log10(low))), std::pow(10.0, std::ceil(std::log10(high * 1.05)))};
}

std::string seconds_label(double s) {
    if (s < 1e-3) return fmt::format("{:g} µs", s * 1e6);
    return s < 1 ? fmt::format("{:g} ms", s * 1e3) : fmt::format("{:g} s", s);
}

class Drawing {
  public:
    explicit Drawing(const CurveChart& chart) : c_(chart), x_(1, 10, kLeft, kRight), a_(1, 10, kBottom, kTop), b_(1, 10, kBottom, kTop) {
        const double first = chart.points.front().x;
        x_ = LogScale(first, std::max(first * 2, chart.points.back().x), kLeft, kRight);
        const Range a = range_of(chart.points, [](const CurvePoint& p) { return p.a; });
        const Range b = range_of(chart.points, [](const CurvePoint& p) { return p.b; });
        a_ = LogScale(a.low, a.high, kBottom, kTop);
        b_ = LogScale(b.low, b.high, kBottom, kTop);
    }

    std::string run() && {
        svg_.open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                          {"viewBox", "0 0 1200 460"},
                          {"class", "plot"},
                          {"role", "group"},
                          {"aria-label", c_.title}});
        walls();
        axes();
        curve([](const CurvePoint& p) { return p.b; }, b_, "b");
        curve([](const CurvePoint& p) { return p.a; }, a_, "a");
        return svg_.close("svg").take();
    }

  private:
    void walls() {
        if (c_.wall && *c_.wall <= c_.points.back().x) {
            const double at = x_.at(*c_.wall);
            svg_.element("rect", {{"x", coordinate(at)},
                                  {"y", coordinate(kTop)},
                                  {"width", coordinate(kRight - at)},
                                  {"height", coordinate(kBottom - kTop)},
                                  {"class", "wall"}});
            const bool narrow = kRight - at < 110;
            svg_.text(narrow ? at - 8 : at + 8, kTop + 18, narrow ? "wall-name end" : "wall-name", c_.wall_name);
        }
        if (c_.turn && *c_.turn <= c_.points.back().x) {
            svg_.line(x_.at(*c_.turn), kTop, x_.at(*c_.turn), kBottom, "ridge");
            svg_.text(x_.at(*c_.turn) + 8, kBottom - 10, "note", c_.turn_name);
        }
        if (c_.here) svg_.line(x_.at(*c_.here), kTop, x_.at(*c_.here), kBottom, "here");
    }
    void axes() {
        for (double v = c_.points.front().x; v <= c_.points.back().x * 1.01; v *= c_.points.back().x / c_.points.front().x > 5000 ? 4 : 2) {
            svg_.text(x_.at(v), kBottom + 24, "tick middle", v < 10000 ? fmt::format("{:g}", v) : fmt::format("{:.3g}k", v / 1000));
        }
        for (double v = a_.low(); v <= a_.high() * 1.01; v *= 10) {
            svg_.line(kLeft, a_.at(v), kRight, a_.at(v), "grid");
            svg_.text(kLeft - 12, a_.at(v) + 5, "tick end", tick_label(v));
        }
        for (double v = b_.low(); v <= b_.high() * 1.01; v *= 10) svg_.text(kRight + 12, b_.at(v) + 5, "tick", seconds_label(v));
        svg_.text(kLeft - 70, kTop - 22, "axis", c_.a_title);
        svg_.text(1196, kTop - 22, "axis end", c_.b_title);
        svg_.text((kLeft + kRight) / 2, 446, "axis middle", c_.x_title);
    }
    template <typename Get>
    void curve(Get get, const LogScale& y, const std::string& css_class) {
        std::string path;
        for (const CurvePoint& p : c_.points) {
            path += fmt::format("{}{} {} ", path.empty() ? "M" : "L", coordinate(x_.at(p.x)), coordinate(y.at(get(p))));
        }
        svg_.element("path", {{"class", "curve " + css_class}, {"d", path}});
        for (const CurvePoint& p : c_.points) {
            const std::string label = fmt::format("{} {:g}", c_.x_title, p.x);
            svg_.open("circle", {{"cx", coordinate(x_.at(p.x))},
                                 {"cy", coordinate(y.at(get(p)))},
                                 {"r", "6"},
                                 {"class", fmt::format("mark {}{}", css_class, p.possible ? "" : " out")},
                                 {"tabindex", "0"},
                                 {"role", "img"},
                                 {"aria-label", label + ". " + p.detail},
                                 {"data-label", label},
                                 {"data-detail", p.detail}});
            svg_.open("title").raw(escaped(label + "\n" + p.detail)).close("title").close("circle");
        }
    }

    const CurveChart& c_;
    LogScale x_, a_, b_;
    Svg svg_;
};

}  // namespace

std::string curve_svg(const CurveChart& chart) {
    const bool drawable = std::ranges::all_of(chart.points, [](const CurvePoint& p) {
        return std::isfinite(p.x) && std::isfinite(p.a) && std::isfinite(p.b) && p.x > 0 && p.a > 0 && p.b > 0;
    });
    if (chart.points.empty() || !drawable) return {};
    return Drawing(chart).run();
}

}  // namespace rafter::report
