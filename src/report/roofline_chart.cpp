// Drawn back to front: regions, grid, roofs, dots (large ones first, so that small ones stay reachable), ladder.
#include "report/roofline_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "report/svg.h"
#include "report/units.h"

namespace rafter::report {
namespace {

constexpr double kWidth = 1200, kHeight = 700;
constexpr double kLeft = 86, kRight = 1168, kTop = 64, kBottom = 622;

double radius(double share) { return 3.2 + 25 * std::sqrt(std::clamp(share, 0.0, 1.0)); }

// "989 T", "3.35 T": three digits and a prefix.
std::string rate_label(double rate) {
    std::string text = count(rate);
    if (text.find(' ') == std::string::npos) text += ' ';
    return text;
}

double decade_below(double n) { return std::pow(10.0, std::floor(std::log10(n))); }
double decade_above(double n) { return std::pow(10.0, std::ceil(std::log10(n))); }

class Drawing {
  public:
    explicit Drawing(const RooflineChart& chart) : c_(chart), x_(0.1, 10, kLeft, kRight), y_(1, 10, kBottom, kTop) {
        const double peak = chart.roofs.front().flop_per_s;
        ridge_ = peak / chart.bytes_per_s;
        double low = ridge_ / 30;
        double high = ridge_ * 30;
        double highest = peak;
        for (const Roof& roof : chart.roofs) highest = std::max(highest, roof.flop_per_s);
        for (const RoofSeries& s : chart.series) {
            for (const RoofDot& dot : s.dots) {
                if (dot.share < 1e-3) continue;
                low = std::min(low, dot.intensity / 1.6);
                high = std::max(high, dot.intensity * 1.6);
            }
        }
        for (const LadderStep& step : chart.ladder) low = std::min(low, step.intensity / 3);
        low = std::max(low, std::min(0.1, ridge_ / 100));  // what computes next to nothing stands at the edge
        high = std::min(high, ridge_ * 1e4);
        x_ = LogScale(decade_below(low), decade_above(high), kLeft, kRight);
        y_ = LogScale(chart.bytes_per_s * x_.low() / 1.5, decade_above(highest * 1.2), kBottom, kTop);
    }

    std::string run() && {
        svg_.open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                          {"viewBox", fmt::format("0 0 {} {}", kWidth, kHeight)},
                          {"class", "plot roofline"},
                          {"role", "group"},
                          {"aria-label", c_.title}});
        regions();
        grid();
        roofs();
        dots();
        ladder();
        return svg_.close("svg").take();
    }

  private:
    double roof_at(double intensity) const { return std::min(c_.bytes_per_s * intensity, c_.roofs.front().flop_per_s); }

    void regions() {
        const double peak = c_.roofs.front().flop_per_s;
        const std::string base = coordinate(kBottom);
        const double at_ridge = x_.at(ridge_);
        svg_.element("path", {{"class", "region-memory"},
                              {"d", fmt::format("M{} {} L{} {} L{} {} L{} {} Z", coordinate(kLeft), base, coordinate(kLeft),
                                                coordinate(y_.at(roof_at(x_.low()))), coordinate(at_ridge), coordinate(y_.at(peak)),
                                                coordinate(at_ridge), base)}});
        svg_.element("path", {{"class", "region-compute"},
                              {"d", fmt::format("M{0} {1} L{0} {2} L{3} {2} L{3} {1} Z", coordinate(at_ridge), base,
                                                coordinate(y_.at(peak)), coordinate(kRight))}});
        svg_.line(at_ridge, y_.at(peak), at_ridge, kBottom, "ridge");
        svg_.text(at_ridge + 8, kBottom - 10, "note", fmt::format("ridge: {} FLOP a byte", rate(ridge_)));
        svg_.text((kLeft + at_ridge) / 2, kBottom - 32, "region-name middle", "waits for memory");
        svg_.text((at_ridge + kRight) / 2, kBottom - 32, "region-name middle", "waits for arithmetic");
    }

    void grid() {
        for (double v = x_.low(); v <= x_.high() * 1.01; v *= 10) {
            svg_.line(x_.at(v), kTop, x_.at(v), kBottom, "grid");
            svg_.text(x_.at(v), kBottom + 24, "tick middle", tick_label(v));
        }
        for (double v = decade_above(y_.low()); v <= y_.high() * 1.01; v *= 10) {
            svg_.line(kLeft, y_.at(v), kRight, y_.at(v), "grid");
            svg_.text(kLeft - 12, y_.at(v) + 5, "tick end", tick_label(v));
        }
        svg_.text((kLeft + kRight) / 2, kHeight - 22, "axis middle", "intensity: FLOP done for each byte that memory has to give");
        svg_.text(kLeft - 70, kTop - 26, "axis", "FLOP/s of one device");
    }

    void roofs() {
        const auto line = [&](double peak, const char* css_class, double from) {
            const double ridge = peak / c_.bytes_per_s;
            svg_.element("path", {{"class", css_class},
                                  {"d", fmt::format("M{} {} L{} {} L{} {}", coordinate(x_.at(from)),
                                                    coordinate(y_.at(c_.bytes_per_s * from)), coordinate(x_.at(ridge)),
                                                    coordinate(y_.at(peak)), coordinate(kRight), coordinate(y_.at(peak)))}});
        };
        for (std::size_t i = c_.roofs.size(); i-- > 0;) {
            const Roof& roof = c_.roofs[i];
            line(roof.flop_per_s, i == 0 ? "roof" : "roof other", i == 0 ? x_.low() : std::min(ridge_, roof.flop_per_s / c_.bytes_per_s));
            svg_.text(kRight - 6, y_.at(roof.flop_per_s) - 9, i == 0 ? "roof-name end" : "roof-name other end",
                      fmt::format("{} {}FLOP/s", roof.name, rate_label(roof.flop_per_s)));
        }
        // Along the slope, at its angle.
        const double x0 = x_.low(), x1 = x_.low() * 10;
        const double angle =
            std::atan2(y_.at(c_.bytes_per_s * x1) - y_.at(c_.bytes_per_s * x0), x_.at(x1) - x_.at(x0)) * 180 / 3.14159265358979;
        const double tx = x_.at(x_.low()) + 34;
        const double slope_pixels = (y_.at(c_.bytes_per_s * x1) - y_.at(c_.bytes_per_s * x0)) / (x_.at(x1) - x_.at(x0));
        const double ty = y_.at(c_.bytes_per_s * x0) + slope_pixels * 34 - 12;
        svg_.open("g", {{"transform", fmt::format("translate({} {}) rotate({:.2f})", coordinate(tx), coordinate(ty), angle)}});
        svg_.text(0, 0, "roof-name", fmt::format("memory: {}B/s", rate_label(c_.bytes_per_s)));
        svg_.close("g");
    }

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
            svg_.open("circle", {{"cx", coordinate(x_.at(p.dot->intensity))},
                                 {"cy", coordinate(y_.at(p.dot->flop_per_s))},
                                 {"r", coordinate(radius(p.dot->share))},
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

    // A path above the slope with a numbered stop over each step, and what the steps are in the empty corner above the slope.
    void ladder() {
        if (c_.ladder.empty()) return;
        struct Stop {
            double x, y, lift;
        };
        std::vector<Stop> stops;
        std::string path;
        for (const LadderStep& step : c_.ladder) {
            stops.push_back({x_.at(step.intensity), y_.at(step.flop_per_s), 0});
        }
        for (std::size_t i = 0; i < stops.size(); ++i) {
            const bool near = i > 0 && std::hypot(stops[i].x - stops[i - 1].x, stops[i].y - stops[i - 1].y) < 34;
            stops[i].lift = near ? stops[i - 1].lift + 30 : 44;
        }
        for (std::size_t i = 0; i + 1 < stops.size(); ++i) {
            const Stop& a = stops[i];
            const Stop& b = stops[i + 1];
            const double ay = a.y - a.lift, by = b.y - b.lift;
            path += fmt::format("M{} {} Q{} {} {} {} ", coordinate(a.x), coordinate(ay), coordinate(a.x + (b.x - a.x) * 0.25),
                                coordinate(std::min(ay, by) - 14), coordinate(b.x), coordinate(by));
        }
        svg_.element("path", {{"class", "ladder"}, {"d", path}});
        const double row = 30;
        const double x0 = kLeft + 26;
        double y0 = kTop + 40;
        svg_.text(x0 - 12, y0 - 24, "ladder-head", "Up the slope");
        for (std::size_t i = 0; i < stops.size(); ++i) {
            const Stop& s = stops[i];
            const std::string digit = fmt::format("{}", i + 1);
            svg_.line(s.x, s.y, s.x, s.y - s.lift + 12, "ladder-stem");
            svg_.element("circle", {{"cx", coordinate(s.x)}, {"cy", coordinate(s.y)}, {"r", "5"}, {"class", "ladder-foot"}});
            stop(s.x, s.y - s.lift, digit, c_.ladder[i]);
            stop(x0, y0 + row * static_cast<double>(i), digit, c_.ladder[i]);
            svg_.open("text",
                      {{"x", coordinate(x0 + 22)}, {"y", coordinate(y0 + row * static_cast<double>(i) + 5)}, {"class", "ladder-text"}});
            svg_.open("tspan", {{"class", "strong"}}).raw(escaped(c_.ladder[i].detail)).close("tspan");
            svg_.raw(escaped("  " + c_.ladder[i].title)).close("text");
        }
    }
    void stop(double x, double y, const std::string& digit, const LadderStep& step) {
        svg_.open("g", {{"class", "stop"}});
        svg_.open("circle", {{"cx", coordinate(x)}, {"cy", coordinate(y)}, {"r", "12.5"}, {"class", "ladder-stop"}});
        svg_.open("title").raw(escaped(step.title + "\n" + step.detail)).close("title").close("circle");
        svg_.text(x, y + 5, "ladder-digit", digit);
        svg_.close("g");
    }

    const RooflineChart& c_;
    double ridge_ = 1.0;
    LogScale x_, y_;
    Svg svg_;
};

}  // namespace

std::string roofline_svg(const RooflineChart& chart) {
    if (chart.roofs.empty() || chart.bytes_per_s <= 0) return {};
    return Drawing(chart).run();
}

std::string plot_style() {
    return R"css(
:root { --paper:#fbfaf6; --ink:#1d1b26; --soft:#6b6878; --line:#dcd8cc; --card:#ffffff; --roof:#1d1b26; --memory:#2f6fe0; --compute:#d9730d;
  --s1:#8fc1ff; --s2:#4b93f5; --s3:#3a57d6; --s4:#5b2fc0; --s5:#8a1fa8; --prefill:#e0810f; --ladder:#0b8f6a; --bad:#c2342b; }
@media (prefers-color-scheme: dark) { :root { --paper:#0e1016; --ink:#eceaf4; --soft:#9a98aa; --line:#262a36; --card:#161923; --roof:#f3f1fa;
  --memory:#5b9bff; --compute:#ffab4d; --s1:#b7d8ff; --s2:#6fb0ff; --s3:#7c8cff; --s4:#a884ff; --s5:#e07bff; --prefill:#ffb454; --ladder:#3fe0ad;
  --bad:#ff7b72; } }
@media print { :root { --paper:#fff; --ink:#000; --soft:#444; --line:#ccc; --card:#fff; --roof:#000; } }
.plot text { font-family: Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-size:14px; fill:var(--ink); }
.plot .tick { fill:var(--soft); font-size:13px; font-variant-numeric:tabular-nums; }
.plot .axis { fill:var(--soft); font-size:14px; }
.plot .note { fill:var(--soft); font-size:13px; }
.plot .middle { text-anchor:middle; } .plot .end { text-anchor:end; }
.plot .grid { stroke:var(--line); stroke-width:1; }
.plot .ridge { stroke:var(--soft); stroke-width:1.2; stroke-dasharray:3 5; }
.plot .region-memory { fill:var(--memory); opacity:.07; } .plot .region-compute { fill:var(--compute); opacity:.08; }
.plot .region-name { fill:var(--soft); font-size:13px; letter-spacing:.14em; text-transform:uppercase; }
.plot .roof { fill:none; stroke:var(--roof); stroke-width:3; stroke-linejoin:round; }
.plot .roof.other { stroke-width:1.4; stroke-dasharray:7 5; opacity:.55; }
.plot .roof-name { font-weight:600; font-size:14px; } .plot .roof-name.other { font-weight:400; fill:var(--soft); }
.plot .dot { stroke:var(--paper); stroke-width:1.4; fill-opacity:.82; cursor:pointer; outline:none; transition:opacity .15s; }
.plot .dot:hover, .plot .dot:focus { stroke:var(--ink); stroke-width:3; fill-opacity:1; }
.s1 { fill:var(--s1); } .s2 { fill:var(--s2); } .s3 { fill:var(--s3); } .s4 { fill:var(--s4); } .s5 { fill:var(--s5); } .prefill { fill:var(--prefill); }
.plot .ladder { fill:none; stroke:var(--ladder); stroke-width:2.4; stroke-dasharray:1 6; stroke-linecap:round; }
.plot .ladder-stem { stroke:var(--ladder); stroke-width:1.4; } .plot .ladder-foot { fill:var(--paper); stroke:var(--ladder); stroke-width:2.4; }
.plot .ladder-stop { fill:var(--ladder); stroke:var(--paper); stroke-width:2; }
.plot .ladder-digit { text-anchor:middle; font-weight:700; font-size:14px; fill:var(--paper); }
.plot .ladder-text { fill:var(--soft); white-space:pre; } .plot .ladder-text .strong { fill:var(--ink); font-weight:650; }
.plot .ladder-head { font-weight:650; font-size:15px; }
.plot .curve { fill:none; stroke-width:2.6; stroke-linejoin:round; } .plot .curve.a { stroke:var(--s3); } .plot .curve.b { stroke:var(--prefill); }
.plot .mark { stroke:var(--paper); stroke-width:1.4; outline:none; } .plot .mark.a { fill:var(--s3); } .plot .mark.b { fill:var(--prefill); } .plot .mark.out { fill:var(--paper); stroke:var(--bad); stroke-width:2; }
.plot .mark:focus, .plot .mark:hover { stroke:var(--ink); stroke-width:3; }
.plot .here { stroke:var(--ladder); stroke-width:1.4; stroke-dasharray:4 4; } .plot .wall { fill:var(--bad); opacity:.07; } .plot .wall-name { fill:var(--bad); font-size:13px; }
)css";
}

}  // namespace rafter::report
