// Plain SVG with a style sheet of its own; text is text, so it can be selected and scales.
#include "report/staircase.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "report/units.h"

namespace rafter::report {
namespace {

constexpr double kWidth = 860.0;
constexpr double kHeight = 480.0;
constexpr double kLeft = 78.0;
constexpr double kRight = 44.0;
constexpr double kTop = 74.0;
constexpr double kBottom = 58.0;

constexpr const char* kStyle = R"(<style>
svg{font-family:system-ui,-apple-system,"Segoe UI",sans-serif;--ink:#1d2433;--dim:#667085;--grid:#e4e7ec;--ground:#ffffff;--c0:#b42318;--c1:#175cd3;--c2:#067647;--c3:#6941c6}
@media (prefers-color-scheme:dark){svg{--ink:#eceff4;--dim:#98a2b3;--grid:#2c3442;--ground:#11151c;--c0:#ff8a7a;--c1:#7fb2ff;--c2:#5fd49b;--c3:#c3a6ff}}
.ground{fill:var(--ground)}.title{fill:var(--ink);font-size:19px;font-weight:600}.note{fill:var(--dim);font-size:13px}
.grid{stroke:var(--grid);stroke-width:1}.mark{stroke:var(--dim);stroke-width:1;stroke-dasharray:3 4}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round}.best{fill:none;stroke-width:1.2;stroke-dasharray:2 3;opacity:.75}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.label{font-size:13px;font-weight:600}
</style>
)";

std::string escaped(std::string_view text) {
    std::string safe;
    for (const char c : text) {
        switch (c) {
            case '&':
                safe += "&amp;";
                break;
            case '<':
                safe += "&lt;";
                break;
            case '>':
                safe += "&gt;";
                break;
            case '"':
                safe += "&quot;";
                break;
            default:
                safe += c;
        }
    }
    return safe;
}

struct Scale {
    double low, high;   // of the numbers
    double begin, end;  // on paper
    [[nodiscard]] double operator()(double x) const {
        return begin + (std::log(x) - std::log(low)) / (std::log(high) - std::log(low)) * (end - begin);
    }
};

// Working sets are counted in powers of two: "32 KiB".
std::string binary_size(double bytes) {
    constexpr std::array<const char*, 4> kUnits{"B", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    while (bytes >= 1024.0 && unit + 1 < kUnits.size()) {
        bytes /= 1024.0;
        ++unit;
    }
    return fmt::format("{:.0f} {}", bytes, kUnits[unit]);
}

std::string path_of(const StaircaseLine& line, const Scale& x, const Scale& y, double StaircasePoint::*rate) {
    std::string path;
    for (const StaircasePoint& p : line.points) {
        path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(p.working_set_bytes), y(p.*rate));
    }
    return path;
}

}  // namespace

std::string staircase_svg(const Staircase& staircase) {
    double low_x = std::numeric_limits<double>::max();
    double high_x = 0.0;
    double low_y = low_x;
    double high_y = 0.0;
    for (const StaircaseLine& line : staircase.lines) {
        for (const StaircasePoint& p : line.points) {
            low_x = std::min(low_x, p.working_set_bytes);
            high_x = std::max(high_x, p.working_set_bytes);
            low_y = std::min(low_y, p.bytes_per_s);
            high_y = std::max(high_y, p.best_bytes_per_s);
        }
    }
    if (high_x <= 0.0) return "";
    const Scale x{low_x, std::max(high_x, 2 * low_x), kLeft, kWidth - kRight};
    const Scale y{low_y / 1.5, high_y * 1.3, kHeight - kBottom, kTop};

    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"{2}\">\n<title>{2}</title>\n{3}"
        "<rect class=\"ground\" width=\"{0}\" height=\"{1}\"/>\n<text class=\"title\" x=\"{4}\" y=\"32\">{2}</text>\n"
        "<text class=\"note\" x=\"{4}\" y=\"53\">{5}</text>\n",
        kWidth, kHeight, escaped(staircase.title), kStyle, kLeft, escaped(staircase.subtitle));
    for (double decade = 1e6; decade < y.high; decade *= 10) {
        for (const double step : {1.0, 2.0, 5.0}) {
            const double rate = decade * step;
            if (rate < y.low || rate > y.high) continue;
            svg += fmt::format(
                "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text class=\"note\" x=\"{}\" y=\"{:.1f}\" "
                "text-anchor=\"end\">{:.0f} GB/s</text>\n",
                kLeft, kWidth - kRight, y(rate), y(rate), kLeft - 8, y(rate) + 4, rate / 1e9);
        }
    }
    for (double size = 1024.0; size <= x.high * 1.01; size *= 4) {
        if (size < x.low) continue;
        svg += fmt::format("<text class=\"note\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x(size), kHeight - kBottom + 22,
                           binary_size(size));
    }
    svg += fmt::format("<text class=\"note\" x=\"{}\" y=\"{}\" text-anchor=\"end\">working set of all threads</text>\n", kWidth - kRight,
                       kHeight - 12);
    for (const StaircaseMark& mark : staircase.marks) {
        if (mark.size_bytes < x.low || mark.size_bytes > x.high) continue;
        svg += fmt::format(
            "<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/><text class=\"note\" x=\"{3:.1f}\" y=\"{4}\" "
            "text-anchor=\"end\">{5}</text>\n",
            x(mark.size_bytes), kTop, kHeight - kBottom, x(mark.size_bytes) - 5, kHeight - kBottom - 8, escaped(mark.label));
    }
    for (std::size_t i = 0; i < staircase.lines.size(); ++i) {
        const StaircaseLine& line = staircase.lines[i];
        if (line.points.empty()) continue;
        const std::size_t hue = i % 4;
        svg += fmt::format("<path class=\"best s{}\" d=\"{}\"/><path class=\"line s{}\" d=\"{}\"/>\n", hue,
                           path_of(line, x, y, &StaircasePoint::best_bytes_per_s), hue, path_of(line, x, y, &StaircasePoint::bytes_per_s));
        for (const StaircasePoint& p : line.points) {
            svg +=
                fmt::format("<circle class=\"f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.2\"><title>{}, {}: {}, at best {}</title></circle>\n",
                            hue, x(p.working_set_bytes), y(p.bytes_per_s), escaped(line.label), bytes(p.working_set_bytes),
                            bytes_per_second(p.bytes_per_s), bytes_per_second(p.best_bytes_per_s));
        }
        svg += fmt::format("<text class=\"label f{}\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", hue, kWidth - kRight,
                           kTop + 16 + 18 * static_cast<double>(i), escaped(line.label));
    }
    return svg + "</svg>\n";
}

}  // namespace rafter::report
