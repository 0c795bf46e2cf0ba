// Drawn back to front: regions, grid, roofs, dots (large ones first, so that small ones stay reachable), ladder, labels.
#include "report/roofline_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "report/units.h"

namespace rafter::report {
namespace {

constexpr double kRow = 27;   // of the ladder's list
constexpr double kStop = 14;  // radius of a number, its edge included

// "989 T", "3.35 T": three digits and a prefix.
std::string rate_label(double rate) {
    std::string text = rate < 1 ? report::rate(rate) : count(rate);
    if (text.find(' ') == std::string::npos) text += ' ';
    return text;
}

double decade_below(double n) { return std::pow(10.0, std::floor(std::log10(n))); }
double decade_above(double n) { return std::pow(10.0, std::ceil(std::log10(n))); }

class Drawing {
  public:
    Drawing(const RooflineChart& chart, const PlotOptions& options) : c_(chart), options_(options), x_(0.1, 10, 0, 1), y_(1, 10, 1, 0) {
        const double peak = chart.roofs.front().flop_per_s;
        ridge_ = peak / chart.bytes_per_s;
        low_ = ridge_ / 30;
        high_ = ridge_ * 30;
        highest_ = peak;
        for (const Roof& roof : chart.roofs) highest_ = std::max(highest_, roof.flop_per_s);
        for (const RoofSeries& s : chart.series) {
            for (const RoofDot& dot : s.dots) {
                if (dot.share < 1e-3) continue;
                low_ = std::min(low_, dot.intensity / 1.6);
                high_ = std::max(high_, dot.intensity * 1.6);
            }
        }
        for (const LadderStep& step : chart.ladder) low_ = std::min(low_, step.intensity / 3);
        if (!chart.climb.empty()) {
            frame_climb();
            return;
        }
        low_ = decade_below(std::max(low_, std::min(0.1, ridge_ / 100)));  // what computes next to nothing stands at the edge
        high_ = decade_above(std::min(high_, ridge_ * 1e4));
    }

    std::string run() && {
        const double plot_height = options_.narrow ? 400 : 470;
        const double list = c_.climb.empty() ? 0 : climb_list_height(c_.climb, options_);
        const double below = 62 + list + (c_.ladder.empty() ? 0 : 40 + rows_height());
        std::vector<LegendEntry> legend;
        for (const RoofSeries& s : c_.series) legend.push_back({s.name, s.css_class});
        const double begin = open_picture(svg_, options_, "roofline", c_.title, description(), legend, 34 + plot_height + below);
        left_ = 66;
        right_ = options_.width() - 16;
        top_ = begin + 34;
        bottom_ = top_ + plot_height;
        x_ = LogScale(low_, high_, left_, right_);
        // Room above the highest roof for its name and for the ladder.
        y_ = LogScale(std::min(lowest_, c_.bytes_per_s * low_) / 1.5, highest_ * (c_.climb.empty() ? 8 : 3), bottom_, top_);
        space_ = LabelSpace({left_ + 2, top_ + 2, right_ - 2, bottom_ - 2});
        regions();
        grid();
        roofs();
        dots();
        ladder();
        if (!c_.climb.empty()) {
            block_roofs();
            draw_climb(svg_, space_, x_, y_, {left_, top_, right_, bottom_}, c_.climb);
            draw_climb_list(svg_, c_.climb, options_, bottom_ + 58);
        }
        labels();
        return svg_.close("svg").take();
    }

  private:
    // From a little left of the leftmost step to right of the ridge.
    void frame_climb() {
        low_ = ridge_ / 10;
        high_ = ridge_ * 5;
        lowest_ = highest_;
        const auto take = [&](double intensity, double flop_per_s) {
            low_ = std::min(low_, std::max(intensity, ridge_ / 1e5) / 2.5);
            high_ = std::max(high_, std::min(intensity, ridge_ * 1e4) * 2);
            lowest_ = std::min(lowest_, std::max(flop_per_s, highest_ / 1e7));
        };
        for (const ClimbStop& stop : c_.climb) {
            take(stop.intensity, stop.flop_per_s);
            if (stop.from) take(stop.from->first, stop.from->second);
        }
    }

    std::string description() const {
        if (!c_.climb.empty()) {
            return "Each number is a whole decode step, the line the way from one to the next; hollow numbers are at a load of their own. "
                   "On "
                   "the slope a step waits for memory, under the flat roof for arithmetic.";
        }
        return "Each dot is an op, the larger the more of its step's time it takes. On the slope it waits for memory, under the flat "
               "roof for arithmetic. Numbers are whole decode steps.";
    }
    double roof_at(double intensity) const { return std::min(c_.bytes_per_s * intensity, c_.roofs.front().flop_per_s); }

    void regions() {
        const double peak = c_.roofs.front().flop_per_s;
        const std::string base = coordinate(bottom_);
        const double at_ridge = x_.at(ridge_);
        svg_.element("path", {{"class", "region-memory"},
                              {"d", fmt::format("M{} {} L{} {} L{} {} L{} {} Z", coordinate(left_), base, coordinate(left_),
                                                coordinate(y_.at(roof_at(x_.low()))), coordinate(at_ridge), coordinate(y_.at(peak)),
                                                coordinate(at_ridge), base)}});
        svg_.element("path", {{"class", "region-compute"},
                              {"d", fmt::format("M{0} {1} L{0} {2} L{3} {2} L{3} {1} Z", coordinate(at_ridge), base,
                                                coordinate(y_.at(peak)), coordinate(right_))}});
        svg_.line(at_ridge, y_.at(peak), at_ridge, bottom_, "ridge");
    }

    void grid() {
        for (const double v : decades(x_, 56)) {
            const bool at_end = x_.at(v) > right_ - 20;
            svg_.line(x_.at(v), top_, x_.at(v), bottom_, "grid");
            svg_.text(at_end ? right_ + 12 : x_.at(v), bottom_ + 22, at_end ? "tick end" : "tick middle", tick_label(v));
        }
        for (const double v : decades(y_, 26)) {
            svg_.line(left_, y_.at(v), right_, y_.at(v), "grid");
            svg_.text(left_ - 8, y_.at(v) + 5, "tick end", tick_label(v));
        }
        svg_.text((left_ + right_) / 2, bottom_ + 47, "axis middle", "FLOP for each byte read from memory");
        svg_.text(10, top_ - 16, "axis", c_.climb.empty() ? "FLOP/s of one device" : "FLOP/s");
    }

    void roofs() {
        for (const RooflineChart::Slope& slope : c_.slopes) {
            const double to = c_.roofs.front().flop_per_s / slope.bytes_per_s;
            svg_.line(x_.at(x_.low()), y_.at(slope.bytes_per_s * x_.low()), x_.at(to), y_.at(c_.roofs.front().flop_per_s), "roof other");
        }
        for (std::size_t i = c_.roofs.size(); i-- > 0;) {
            const double peak = c_.roofs[i].flop_per_s;
            const double ridge = peak / c_.bytes_per_s;
            const double from = i == 0 ? x_.low() : std::min(ridge_, ridge);
            svg_.element("path", {{"class", i == 0 ? "roof" : "roof other"},
                                  {"d", fmt::format("M{} {} L{} {} L{} {}", coordinate(x_.at(from)),
                                                    coordinate(y_.at(c_.bytes_per_s * from)), coordinate(x_.at(ridge)),
                                                    coordinate(y_.at(peak)), coordinate(right_), coordinate(y_.at(peak)))}});
        }
    }

    // Keeps numbers and labels off the lines.
    void block_roofs() {
        const double peak = c_.roofs.front().flop_per_s;
        for (double x = left_; x < right_; x += 6) {
            const double intensity = x_.low() * std::pow(x_.high() / x_.low(), (x - left_) / (right_ - left_));
            space_.block_circle(x, y_.at(roof_at(intensity)), 1);
            for (const RooflineChart::Slope& slope : c_.slopes) {
                if (slope.bytes_per_s * intensity < peak) space_.block_circle(x, y_.at(slope.bytes_per_s * intensity), 1);
            }
        }
    }

    double radius(double share) const { return 3.0 + (options_.narrow ? 13 : 20) * std::sqrt(std::clamp(share, 0.0, 1.0)); }

    void dots() {
        struct Placed {
            const RoofDot* dot;
            const RoofSeries* series;
        };
        std::vector<Placed> placed;
        for (const RoofSeries& s : c_.series) {
            for (const RoofDot& dot : s.dots) placed.push_back({&dot, &s});
        }
        std::ranges::stable_sort(placed, [](const Placed& a, const Placed& b) { return a.dot->share > b.dot->share; });
        for (const Placed& p : placed) {
            const std::string label = fmt::format("{}: {}", p.series->name, p.dot->label);
            const double r = radius(p.dot->share);
            // Inside the axes, whose labels stand beyond them.
            const double x = std::clamp(x_.at(p.dot->intensity), left_ + r, right_ - r);
            const double y = std::clamp(y_.at(p.dot->flop_per_s), top_ + r, bottom_ - r);
            space_.block_circle(x, y, r + 1);
            svg_.open("circle", {{"cx", coordinate(x)},
                                 {"cy", coordinate(y)},
                                 {"r", coordinate(r)},
                                 {"class", "dot " + p.series->css_class},
                                 {"tabindex", "0"},
                                 {"role", "img"},
                                 {"aria-label", label + ". " + p.dot->detail},
                                 {"data-label", label},
                                 {"data-detail", p.dot->detail}});
            svg_.open("title").raw(escaped(label + "\n" + p.dot->detail)).close("title");
            svg_.close("circle");
        }
    }

    // A path above the slope with a numbered stop over each step; below the chart, what the steps are.
    void ladder() {
        if (c_.ladder.empty()) return;
        struct Stop {
            double x, y;    // of the step
            double to, at;  // of its number
        };
        std::vector<Stop> stops;
        for (const LadderStep& step : c_.ladder) {
            const double x = std::clamp(x_.at(step.intensity), left_ + 8, right_ - 8);
            const double y = std::clamp(y_.at(step.flop_per_s), top_ + 40, bottom_ - 8);
            Stop stop{x, y, std::clamp(x, left_ + 16, right_ - 16), std::max(top_ + 16, y - 44)};
            if (const auto place = stop_place(x, y)) std::tie(stop.to, stop.at) = *place;
            space_.block_circle(stop.to, stop.at, kStop + 1);
            stops.push_back(stop);
        }
        std::string path;
        for (std::size_t i = 0; i + 1 < stops.size(); ++i) {
            const Stop& a = stops[i];
            const Stop& b = stops[i + 1];
            path += fmt::format("M{} {} Q{} {} {} {} ", coordinate(a.to), coordinate(a.at), coordinate(a.to + (b.to - a.to) * 0.25),
                                coordinate(std::min(a.at, b.at) - 14), coordinate(b.to), coordinate(b.at));
        }
        svg_.element("path", {{"class", "ladder"}, {"d", path}});
        for (std::size_t i = 0; i < stops.size(); ++i) {
            const Stop& s = stops[i];
            svg_.line(s.x, s.y, s.to, s.at + 10, "ladder-stem");
            svg_.element("circle", {{"cx", coordinate(s.x)}, {"cy", coordinate(s.y)}, {"r", "5"}, {"class", "ladder-foot"}});
            space_.block_circle(s.x, s.y, 7);
        }
        for (std::size_t i = 0; i < stops.size(); ++i) stop(stops[i].to, stops[i].at, i);
        ladder_list();
    }
    // Near a step, where no dot is: above the roofs if possible, and rather to the left, where the slope leaves room.
    [[nodiscard]] std::optional<std::pair<double, double>> stop_place(double x, double y) const {
        for (const bool above : {true, false}) {
            for (double lift = 40; lift < 200; lift += 6) {
                for (const double aside : {0.0, -18.0, -36.0, -54.0, 18.0, 36.0}) {
                    const double to = x + aside, at = y - lift;
                    const double roof = y_.at(roof_at(x_.low() * std::pow(x_.high() / x_.low(), (to + kStop - left_) / (right_ - left_))));
                    if ((!above || at + kStop < roof) && space_.is_free_circle(to, at, kStop)) return std::pair{to, at};
                }
            }
        }
        return std::nullopt;
    }
    // Whether a step's title and rate stand in one line.
    bool in_one_line(const LadderStep& step) const {
        return 62 + text_width(step.title) + 1.1 * text_width(step.detail) < options_.width();
    }
    double rows_height() const {
        double height = 0.0;
        for (const LadderStep& step : c_.ladder) height += in_one_line(step) ? kRow : 2 * kRow;
        return height;
    }
    void ladder_list() {
        double y = bottom_ + 84;
        svg_.text(14, y, "head", "Up the slope: whole decode steps");
        for (std::size_t i = 0; i < c_.ladder.size(); ++i) {
            y += kRow;
            stop(27, y - 5, i);
            svg_.text(48, y, "ladder-text", c_.ladder[i].title);
            if (!in_one_line(c_.ladder[i])) y += kRow;
            const bool to_the_right = options_.narrow || !in_one_line(c_.ladder[i]);
            if (to_the_right) {
                svg_.text(options_.width() - 14, y, "ladder-rate end", c_.ladder[i].detail);
            } else {
                svg_.text(430, y, "ladder-rate", c_.ladder[i].detail);
            }
        }
    }
    void stop(double x, double y, std::size_t i) {
        svg_.open("g", {{"class", "stop"}});
        svg_.open("circle", {{"cx", coordinate(x)}, {"cy", coordinate(y)}, {"r", "12.5"}, {"class", "ladder-stop"}});
        svg_.open("title").raw(escaped(c_.ladder[i].title + "\n" + c_.ladder[i].detail)).close("title").close("circle");
        svg_.text(x, y + 5, "ladder-digit", fmt::format("{}", i + 1));
        svg_.close("g");
    }

    // Left of the slope, from its foot upwards; else right of it.
    void name_slope(std::string_view css_class, const std::string& name, double bytes_per_s) {
        using Place = LabelSpace::Place;
        std::vector<Place> slope;
        const double ridge = c_.roofs.front().flop_per_s / bytes_per_s;
        for (int right = 0; right < 2; ++right) {
            for (double part = 0.15; part < 0.95; part += 0.05) {
                const double intensity = x_.low() * std::pow(ridge / x_.low(), part);
                const double x = x_.at(intensity), y = y_.at(bytes_per_s * intensity);
                if (right == 1) {
                    slope.push_back({x + 14, y + 14, Anchor::kStart});
                } else {
                    slope.push_back({x - 10, y - 6, Anchor::kEnd});
                }
            }
        }
        for (double y = bottom_ - 20; y > top_ + 20; y -= 12)
            slope.push_back({left_ + 8, y, Anchor::kStart});  // anywhere rather than nowhere
        space_.draw(svg_, css_class, name, slope);
    }

    void labels() {
        using Place = LabelSpace::Place;
        for (std::size_t i = 0; i < c_.roofs.size(); ++i) {
            const double y = y_.at(c_.roofs[i].flop_per_s);
            const std::string text = fmt::format("{} {}FLOP/s", c_.roofs[i].name, rate_label(c_.roofs[i].flop_per_s));
            // Above its line where there is room, else below; else anywhere at its height.
            const double begin = x_.at(std::min(ridge_, c_.roofs[i].flop_per_s / c_.bytes_per_s)) + text_width(text);
            std::vector<Place> places;
            for (double x = right_ - 6; x > begin; x -= 12) places.push_back({x, y - 8, Anchor::kEnd});
            for (double x = right_ - 6; x > begin; x -= 12) places.push_back({x, y + 18, Anchor::kEnd});
            for (double x = right_ - 6; x > left_; x -= 12) places.push_back({x, y - 8, Anchor::kEnd});
            space_.draw(svg_, i == 0 ? "roof-name" : "roof-name other", text, places);
        }
        name_slope("roof-name", fmt::format("memory {}B/s", rate_label(c_.bytes_per_s)), c_.bytes_per_s);
        for (const RooflineChart::Slope& slope : c_.slopes)
            name_slope("roof-name other", fmt::format("{} {}B/s", slope.name, rate_label(slope.bytes_per_s)), slope.bytes_per_s);
        std::vector<Place> ridge;
        for (double y = bottom_ - 10; y > top_ + 60; y -= 20) {
            ridge.push_back({x_.at(ridge_) + 8, y, Anchor::kStart});
            ridge.push_back({x_.at(ridge_) - 8, y, Anchor::kEnd});
        }
        space_.draw(svg_, "note", fmt::format("ridge: {} FLOP/B", rate(ridge_)), ridge);
        for (const auto& [text, middle] :
             {std::pair{"waits for memory", (left_ + x_.at(ridge_)) / 2}, {"waits for arithmetic", (x_.at(ridge_) + right_) / 2}}) {
            std::vector<Place> places;
            for (double y = bottom_ - 32; y > bottom_ - 120; y -= 22) places.push_back({middle, y, Anchor::kMiddle});
            space_.draw(svg_, "note", text, places);
        }
    }

    const RooflineChart& c_;
    const PlotOptions& options_;
    double ridge_ = 1.0, low_ = 0.1, high_ = 10, highest_ = 1;
    double lowest_ = 1e300;  // flops a second of the steps of a climb
    double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
    LogScale x_, y_;
    LabelSpace space_{Box{}};
    Svg svg_;
};

}  // namespace

std::string roofline_svg(const RooflineChart& chart, const PlotOptions& options) {
    if (chart.roofs.empty() || chart.bytes_per_s <= 0) return {};
    return Drawing(chart, options).run();
}

}  // namespace rafter::report
