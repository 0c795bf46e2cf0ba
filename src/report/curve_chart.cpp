// Axes end at round numbers around the data.
#include "report/curve_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/units.h"

namespace rafter::report {
namespace {

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

// "100 µs", "1 s", "10⁹ s": of a power of ten.
std::string seconds_label(double s) {
    const int exponent = static_cast<int>(std::lround(std::log10(s)));
    if (exponent < -9 || exponent > 5) return power_of_ten(exponent) + " s";
    const double in_unit = s < 0.9e-6 ? s * 1e9 : s < 0.9e-3 ? s * 1e6 : s < 0.9 ? s * 1e3 : s;
    return fmt::format("{} {}", whole(in_unit), s < 0.9e-6 ? "ns" : s < 0.9e-3 ? "µs" : s < 0.9 ? "ms" : "s");
}

std::string x_label(double x) { return x < 1e6 ? whole(x) : count(x); }

class Drawing {
  public:
    Drawing(const CurveChart& chart, const PlotOptions& options)
        : c_(chart), options_(options), x_(1, 10, 0, 1), a_(1, 10, 1, 0), b_(1, 10, 1, 0) {}

    std::string run() && {
        const double plot_height = options_.narrow ? 320 : 330;
        const double begin =
            open_picture(svg_, options_, "curves", c_.title, c_.description, {{c_.a_title, "a"}, {c_.b_title, "b"}}, 34 + plot_height + 60);
        left_ = 66;
        right_ = options_.width() - 86;
        top_ = begin + 34;
        bottom_ = top_ + plot_height;
        const double first = c_.points.front().x;
        x_ = LogScale(first, std::max(first * 2, c_.points.back().x), left_, right_);
        const Range a = range_of(c_.points, [](const CurvePoint& p) { return p.a; });
        const Range b = range_of(c_.points, [](const CurvePoint& p) { return p.b; });
        a_ = LogScale(a.low, a.high, bottom_, top_);
        b_ = LogScale(b.low, b.high, bottom_, top_);
        space_ = LabelSpace({left_ + 2, top_ + 2, right_ - 2, bottom_ - 2});
        lines();
        axes();
        curve([](const CurvePoint& p) { return p.b; }, b_, "b");
        curve([](const CurvePoint& p) { return p.a; }, a_, "a");
        labels();
        return svg_.close("svg").take();
    }

  private:
    [[nodiscard]] bool on_axis(const std::optional<double>& x) const { return x && *x >= c_.points.front().x && *x <= c_.points.back().x; }

    void lines() {
        if (on_axis(c_.wall)) {
            const double at = x_.at(*c_.wall);
            svg_.element("rect", {{"x", coordinate(at)},
                                  {"y", coordinate(top_)},
                                  {"width", coordinate(right_ - at)},
                                  {"height", coordinate(bottom_ - top_)},
                                  {"class", "wall"}});
        }
        if (on_axis(c_.turn)) svg_.line(x_.at(*c_.turn), top_, x_.at(*c_.turn), bottom_, "ridge");
        if (on_axis(c_.here)) svg_.line(x_.at(*c_.here), top_, x_.at(*c_.here), bottom_, "here");
    }

    void axes() {
        // So many doublings apart that labels do not touch.
        double widest = 0.0;
        for (const CurvePoint& p : c_.points) widest = std::max(widest, text_width(x_label(p.x)));
        const double doublings = std::log2(x_.high() / x_.low());
        const double fit = std::max(1.0, std::floor((right_ - left_) / (widest + 12)));
        const double step = std::max(1.0, std::ceil(doublings / fit));
        for (double v = x_.low(); v <= x_.high() * 1.01; v *= std::exp2(step)) {
            svg_.text(x_.at(v), bottom_ + 22, "tick middle", x_label(v));
        }
        for (const double v : decades(a_, 26)) {
            svg_.line(left_, a_.at(v), right_, a_.at(v), "grid");
            svg_.text(left_ - 10, a_.at(v) + 5, "tick end", tick_label(v));
        }
        for (const double v : decades(b_, 26)) svg_.text(right_ + 10, b_.at(v) + 5, "tick", seconds_label(v));
        svg_.text(10, top_ - 16, "axis a", c_.a_title);
        svg_.text(options_.width() - 8, top_ - 16, "axis b end", c_.b_title);
        svg_.text((left_ + right_) / 2, bottom_ + 47, "axis middle", c_.x_title);
    }

    template <typename Get>
    void curve(Get get, const LogScale& y, const std::string& css_class) {
        std::string path;
        for (const CurvePoint& p : c_.points) {
            path += fmt::format("{}{} {} ", path.empty() ? "M" : "L", coordinate(x_.at(p.x)), coordinate(y.at(get(p))));
        }
        svg_.element("path", {{"class", "curve " + css_class}, {"d", path}});
        for (const CurvePoint& p : c_.points) {
            const std::string label = fmt::format("{} {}", c_.point_name, whole(p.x));
            space_.block_circle(x_.at(p.x), y.at(get(p)), 7);
            svg_.open("circle", {{"cx", coordinate(x_.at(p.x))},
                                 {"cy", coordinate(y.at(get(p)))},
                                 {"r", "5"},
                                 {"class", fmt::format("mark {}{}", css_class, p.possible ? "" : " out")},
                                 {"tabindex", "0"},
                                 {"role", "img"},
                                 {"aria-label", label + ". " + p.detail},
                                 {"data-label", label},
                                 {"data-detail", p.detail}});
            svg_.open("title").raw(escaped(label + "\n" + p.detail)).close("title").close("circle");
        }
    }

    // Beside a line across the chart, on the side where there is room.
    void name(double x, std::string_view css_class, const std::string& text) {
        std::vector<LabelSpace::Place> places;
        for (double y = top_ + 18; y < bottom_ - 6; y += 18) {
            places.push_back({x + 8, y, Anchor::kStart});
            places.push_back({x - 8, y, Anchor::kEnd});
        }
        space_.draw(svg_, css_class, text, places);
    }
    void labels() {
        if (on_axis(c_.wall)) name(x_.at(*c_.wall), "wall-name", c_.wall_name);
        if (on_axis(c_.here)) name(x_.at(*c_.here), "here-name", c_.here_name);
        if (on_axis(c_.turn)) name(x_.at(*c_.turn), "note", c_.turn_name);
    }

    const CurveChart& c_;
    const PlotOptions& options_;
    double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
    LogScale x_, a_, b_;
    LabelSpace space_{Box{}};
    Svg svg_;
};

}  // namespace

std::string curve_svg(const CurveChart& chart, const PlotOptions& options) {
    const bool drawable = std::ranges::all_of(chart.points, [](const CurvePoint& p) {
        return std::isfinite(p.x) && std::isfinite(p.a) && std::isfinite(p.b) && p.x > 0 && p.a > 0 && p.b > 0;
    });
    if (chart.points.empty() || !drawable) return {};
    return Drawing(chart, options).run();
}

}  // namespace rafter::report
