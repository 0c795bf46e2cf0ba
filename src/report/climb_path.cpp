// Numbers stand at the nearest place that is free: a dozen steps of a model lie close together on the slope.
#include "report/climb_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rafter::report {
namespace {

constexpr double kFoot = 4.5;     // radius of a point
constexpr double kNumber = 12.5;  // of a number
constexpr double kRow = 27;       // of the list

struct Point {
    double x = 0.0, y = 0.0;
};

// Keeps numbers off a line.
void block_line(LabelSpace& space, const Point& a, const Point& b) {
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    const int n = std::max(1, static_cast<int>(length / 6));
    for (int i = 0; i <= n; ++i) space.block_circle(a.x + (b.x - a.x) * i / n, a.y + (b.y - a.y) * i / n, 2);
}

// Nearest first; at one distance rather above, to the left, where the slope leaves room.
Point number_place(const LabelSpace& space, const Point& foot) {
    constexpr double kDegrees[] = {125, 90, 155, 180, 60, 315, 290, 340, 270, 0, 30, 225};
    for (double distance = 21; distance < 150; distance += 4) {
        for (const double degrees : kDegrees) {
            const double angle = degrees * std::numbers::pi / 180;
            const Point at{foot.x + distance * std::cos(angle), foot.y - distance * std::sin(angle)};
            if (space.is_free_circle(at.x, at.y, kNumber + 1.5)) return at;
        }
    }
    return {foot.x, foot.y - 24};
}

void draw_number(Svg& svg, const ClimbStop& stop, const Point& at, bool is_reachable) {
    const std::string aside = stop.on_path ? "" : " aside";
    if (is_reachable) {
        svg.open("circle", {{"cx", coordinate(at.x)},
                            {"cy", coordinate(at.y)},
                            {"r", coordinate(kNumber)},
                            {"class", "climb-stop" + aside},
                            {"tabindex", "0"},
                            {"role", "img"},
                            {"aria-label", fmt::format("{}. {}: {}", stop.mark, stop.title, stop.detail)},
                            {"data-label", fmt::format("{}  {}", stop.mark, stop.title)},
                            {"data-detail", stop.detail}});
        svg.open("title").raw(escaped(fmt::format("{} {}\n{}", stop.mark, stop.title, stop.detail))).close("title").close("circle");
    } else {
        svg.element("circle",
                    {{"cx", coordinate(at.x)}, {"cy", coordinate(at.y)}, {"r", coordinate(kNumber)}, {"class", "climb-key" + aside}});
    }
    svg.text(at.x, at.y + 5, "climb-digit middle" + aside, stop.mark);
}

// Columns of the list, and rows of each.
std::size_t n_columns(const PlotOptions& options) { return options.narrow ? 1 : 2; }
std::size_t n_rows(const std::vector<ClimbStop>& stops, const PlotOptions& options) {
    return (stops.size() + n_columns(options) - 1) / n_columns(options);
}

}  // namespace

void draw_climb(Svg& svg, LabelSpace& space, const LogScale& x, const LogScale& y, const Box& area, const std::vector<ClimbStop>& stops) {
    const auto point_of = [&](double intensity, double flop_per_s) {
        return Point{std::clamp(x.at(intensity), area.left + 6, area.right - 6),
                     std::clamp(y.at(flop_per_s), area.top + 6, area.bottom - 6)};
    };
    std::vector<Point> feet;
    for (const ClimbStop& stop : stops) feet.push_back(point_of(stop.intensity, stop.flop_per_s));
    std::string path;
    const Point* last = nullptr;
    for (std::size_t i = 0; i < stops.size(); ++i) {
        if (!stops[i].on_path) {
            if (!stops[i].from) continue;
            const Point from = point_of(stops[i].from->first, stops[i].from->second);
            svg.line(from.x, from.y, feet[i].x, feet[i].y, "climb aside");
            svg.element("circle", {{"cx", coordinate(from.x)}, {"cy", coordinate(from.y)}, {"r", "2.5"}, {"class", "climb-from"}});
            continue;
        }
        if (last != nullptr) block_line(space, *last, feet[i]);
        path += fmt::format("{}{} {}", last == nullptr ? "M" : " L", coordinate(feet[i].x), coordinate(feet[i].y));
        last = &feet[i];
    }
    if (!path.empty()) svg.element("path", {{"class", "climb"}, {"d", path}});
    for (const Point& foot : feet) space.block_circle(foot.x, foot.y, kFoot + 1);
    std::vector<Point> numbers;
    for (const Point& foot : feet) {
        numbers.push_back(number_place(space, foot));
        space.block_circle(numbers.back().x, numbers.back().y, kNumber + 1);
    }
    for (std::size_t i = 0; i < stops.size(); ++i) {
        svg.line(feet[i].x, feet[i].y, numbers[i].x, numbers[i].y, "climb-stem");
        svg.element("circle", {{"cx", coordinate(feet[i].x)},
                               {"cy", coordinate(feet[i].y)},
                               {"r", coordinate(kFoot)},
                               {"class", stops[i].on_path ? "climb-foot" : "climb-foot aside"}});
    }
    for (std::size_t i = 0; i < stops.size(); ++i) draw_number(svg, stops[i], numbers[i], true);
}

double climb_list_height(const std::vector<ClimbStop>& stops, const PlotOptions& options) {
    return kRow * static_cast<double>(n_rows(stops, options)) + 12;
}

void draw_climb_list(Svg& svg, const std::vector<ClimbStop>& stops, const PlotOptions& options, double top) {
    const std::size_t rows = n_rows(stops, options);
    const double width = (options.width() - 28) / static_cast<double>(n_columns(options));
    for (std::size_t i = 0; i < stops.size(); ++i) {
        const double left = 14 + width * static_cast<double>(i / rows);
        const double y = top + kRow * static_cast<double>(i % rows + 1);
        const double right = left + width - (options.narrow ? 0 : 30);
        draw_number(svg, stops[i], {left + 13, y - 5}, false);
        svg.text(left + 36, y, "climb-text", fitted(stops[i].title, right - left - 36 - text_width(stops[i].rate) - 14));
        svg.text(right, y, "climb-rate end", stops[i].rate);
    }
}

}  // namespace rafter::report
