// Both pictures share one view: the ranges of the axes, with the points of y = 0 on the lower edge.
#include "report/tradeoff_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/units.h"

namespace rafter::report {
namespace {

struct View {
    double x_low, x_high, y_low, y_high;
};

bool is_drawable(const TradeoffChart& chart) {
    return !chart.points.empty() && std::ranges::all_of(chart.points, [](const TradeoffPoint& p) {
        return std::isfinite(p.x) && p.x > 0.0 && std::isfinite(p.y) && p.y >= 0.0 && std::isfinite(p.y_error);
    });
}

View view_of(const TradeoffChart& chart) {
    View view{.x_low = 1e300, .x_high = 0.0, .y_low = 1e300, .y_high = 0.0};
    bool any_zero = false;
    for (const TradeoffPoint& p : chart.points) {
        view.x_low = std::min(view.x_low, p.x);
        view.x_high = std::max(view.x_high, p.x);
        any_zero = any_zero || p.y <= 0.0;
        if (p.y > 0.0) view.y_low = std::min(view.y_low, p.y);
        view.y_high = std::max(view.y_high, p.y + p.y_error);
    }
    if (view.y_high <= 0.0) view.y_low = view.y_high = 1e-3;  // all are 0: any scale will do
    // Room around the points, and more below those above 0 where others are 0.
    view.x_low /= 1.15;
    view.x_high *= 1.15;
    view.y_low /= any_zero ? 6.0 : 1.6;
    view.y_high *= 1.6;
    return view;
}

// 1, 2 and 5 times powers of ten, fewer of them where they would lie closer than `distance` together.
std::vector<double> ticks_of(const LogScale& scale, double distance) {
    for (const std::vector<double>& steps :
         {std::vector<double>{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9}, {1, 1.5, 2, 3, 4, 5, 7}, {1, 2, 5}, {1, 3}, {1}}) {
        std::vector<double> ticks;
        for (double exponent = std::floor(std::log10(scale.low())); std::pow(10.0, exponent) <= scale.high(); ++exponent) {
            for (const double step : steps) {
                const double tick = step * std::pow(10.0, exponent);
                if (tick >= scale.low() && tick <= scale.high()) ticks.push_back(tick);
            }
        }
        double nearest = 1e300;
        for (std::size_t i = 1; i < ticks.size(); ++i) nearest = std::min(nearest, std::abs(scale.at(ticks[i]) - scale.at(ticks[i - 1])));
        if (nearest >= distance) return ticks;
    }
    return decades(scale, distance);
}

// Two digits say every tick: "0.0015", "20", "2.5 M", "3·10⁻⁸".
std::string tradeoff_tick(double value) {
    if (value < 9.99e-5) {
        const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
        const double digits = value / std::pow(10.0, exponent);
        return (digits < 1.05 ? "" : fmt::format("{:.2g}·", digits)) + power_of_ten(exponent);
    }
    if (value >= 1e6) return count(value);
    if (value >= 10.0) return whole(value);
    const int decimals = std::max(0, 1 - static_cast<int>(std::floor(std::log10(value) + 1e-9)));
    std::string text = fmt::format("{:.{}f}", value, decimals);
    if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

class Drawing {
  public:
    Drawing(const TradeoffChart& chart, const PlotOptions& options) : c_(chart), options_(options), x_(1, 10, 0, 1), y_(1, 10, 1, 0) {}

    std::string run() && {
        const double plot_height = options_.narrow ? 300 : 340;
        const double begin = open_picture(svg_, options_, "tradeoff", c_.title, c_.description, {}, 34 + plot_height + 66 + list_height());
        left_ = 78;
        right_ = options_.width() - 24;
        top_ = begin + 34;
        bottom_ = top_ + plot_height;
        const View view = view_of(c_);
        x_ = LogScale(view.x_low, view.x_high, left_, right_);
        y_ = LogScale(view.y_low, view.y_high, bottom_, top_);
        axes();
        front();
        LabelSpace space({left_ + 2, top_ + 2, right_ - 2, bottom_ - 2});
        for (const TradeoffPoint& p : c_.points) space.block_circle(x_.at(p.x), y_of(p), kRadius + 2);
        for (const TradeoffPoint& p : c_.points) point(p);
        if (!options_.narrow) {
            for (const TradeoffPoint& p : c_.points) name(space, p);
        }
        list(bottom_ + 66);
        return svg_.close("svg").take();
    }

  private:
    static constexpr double kRadius = 12.0;
    static constexpr double kRow = 26.0;

    [[nodiscard]] double y_of(const TradeoffPoint& p) const { return p.y > 0.0 ? y_.at(p.y) : bottom_; }
    [[nodiscard]] double list_height() const { return kRow * static_cast<double>(c_.points.size()) + 8; }

    void axes() {
        for (const double v : ticks_of(x_, 58)) {
            svg_.line(x_.at(v), top_, x_.at(v), bottom_, "grid");
            svg_.text(x_.at(v), bottom_ + 24, "tick middle", tradeoff_tick(v));
        }
        for (const double v : ticks_of(y_, 30)) {
            svg_.line(left_, y_.at(v), right_, y_.at(v), "grid");
            svg_.text(left_ - 10, y_.at(v) + 5, "tick end", tradeoff_tick(v));
        }
        if (std::ranges::any_of(c_.points, [](const TradeoffPoint& p) { return p.y <= 0.0; })) {
            svg_.line(left_, bottom_, right_, bottom_, "grid");
            svg_.text(left_ - 10, bottom_ + 5, "tick end", "0");
        }
        svg_.text(10, top_ - 16, "axis", fitted(c_.y_title, options_.width() - 20));
        svg_.text((left_ + right_) / 2, bottom_ + 50, "axis middle", c_.x_title);
    }

    // Straight from point to point: between two alternatives there is none.
    void front() {
        std::string path;
        for (const std::size_t i : pareto_front(c_.points)) {
            const TradeoffPoint& p = c_.points[i];
            path += fmt::format("{}{} {} ", path.empty() ? "M" : "L", coordinate(x_.at(p.x)), coordinate(y_of(p)));
        }
        svg_.element("path", {{"class", "climb"}, {"d", path}});
    }

    void point(const TradeoffPoint& p) {
        const double x = x_.at(p.x);
        const double y = y_of(p);
        if (p.y > 0.0 && p.y_error > 0.0) {
            const double low = p.y - p.y_error > y_.low() ? y_.at(p.y - p.y_error) : bottom_;
            svg_.line(x, y_.at(p.y + p.y_error), x, low, "climb-stem");
        }
        const std::string aside = p.on_front ? "" : " aside";
        svg_.open("circle", {{"cx", coordinate(x)},
                             {"cy", coordinate(y)},
                             {"r", coordinate(kRadius)},
                             {"class", "climb-stop" + aside},
                             {"tabindex", "0"},
                             {"role", "img"},
                             {"aria-label", fmt::format("{}: {}. {}", p.mark, p.title, p.detail)},
                             {"data-label", p.title},
                             {"data-detail", p.detail}});
        svg_.open("title").raw(escaped(p.title + "\n" + p.detail)).close("title").close("circle");
        svg_.text(x, y + 5, "climb-digit middle" + aside, p.mark);
    }

    void name(LabelSpace& space, const TradeoffPoint& p) {
        const double x = x_.at(p.x);
        const double y = y_of(p);
        constexpr double kGap = kRadius + 8;
        space.draw(svg_, p.on_front ? "climb-rate" : "note", fitted(p.title, 300),
                   {{x + kGap, y + 5, Anchor::kStart},
                    {x - kGap, y + 5, Anchor::kEnd},
                    {x, y - kGap, Anchor::kMiddle},
                    {x, y + kGap + 12, Anchor::kMiddle},
                    {x + kGap, y - kGap, Anchor::kStart},
                    {x - kGap, y - kGap, Anchor::kEnd},
                    {x + kGap, y + kGap + 12, Anchor::kStart},
                    {x - kGap, y + kGap + 12, Anchor::kEnd}});
    }

    void list(double top) {
        double y = top + 10;
        for (const TradeoffPoint& p : c_.points) {
            const std::string aside = p.on_front ? "" : " aside";
            svg_.element("circle", {{"cx", "26"}, {"cy", coordinate(y)}, {"r", "11"}, {"class", "climb-key" + aside}});
            svg_.text(26, y + 5, "climb-digit middle" + aside, p.mark);
            svg_.text(48, y + 5, p.on_front ? "climb-rate" : "note", fitted(p.title, options_.width() - 60));
            y += kRow;
        }
    }

    const TradeoffChart& c_;
    const PlotOptions& options_;
    double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
    LogScale x_, y_;
    Svg svg_;
};

// Characters in rows, written by place.
class Canvas {
  public:
    Canvas(std::size_t width, std::size_t height) : rows_(height, std::string(width, ' ')) {}
    [[nodiscard]] bool is_free(std::size_t x, std::size_t y, std::size_t n) const {
        return x + n <= rows_[y].size() && rows_[y].substr(x, n).find_first_not_of(" .") == std::string::npos;
    }
    void write(std::size_t x, std::size_t y, std::string_view text) {
        for (std::size_t i = 0; i < text.size() && x + i < rows_[y].size(); ++i) rows_[y][x + i] = text[i];
    }
    [[nodiscard]] const std::string& row(std::size_t y) const { return rows_[y]; }

  private:
    std::vector<std::string> rows_;
};

}  // namespace

std::vector<std::size_t> pareto_front(const std::vector<TradeoffPoint>& points) {
    std::vector<std::size_t> front;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const TradeoffPoint& p = points[i];
        const bool beaten =
            std::ranges::any_of(points, [&](const TradeoffPoint& q) { return q.x >= p.x && q.y <= p.y && (q.x > p.x || q.y < p.y); });
        if (!beaten) front.push_back(i);
    }
    std::ranges::stable_sort(front, [&](std::size_t a, std::size_t b) { return points[a].x > points[b].x; });
    return front;
}

std::string tradeoff_svg(const TradeoffChart& chart, const PlotOptions& options) {
    return is_drawable(chart) ? Drawing(chart, options).run() : std::string();
}

std::string tradeoff_text(const TradeoffChart& chart, std::size_t columns) {
    constexpr std::size_t kLabels = 9;  // columns left of the plot
    constexpr std::size_t kHeight = 12;
    constexpr std::size_t kMinWidth = 24;
    if (!is_drawable(chart) || columns < kLabels + kMinWidth) return {};
    const std::size_t width = std::min<std::size_t>(columns - kLabels - 3, 66);
    const View view = view_of(chart);
    const LogScale x(view.x_low, view.x_high, 0, static_cast<double>(width - 1));
    const LogScale y(view.y_low, view.y_high, kHeight - 1, 0);
    const auto column = [&](const TradeoffPoint& p) { return x.at(p.x); };
    const auto row = [&](const TradeoffPoint& p) { return p.y > 0.0 ? y.at(p.y) : static_cast<double>(kHeight - 1); };
    Canvas canvas(width, kHeight);
    const std::vector<std::size_t> front = pareto_front(chart.points);
    for (std::size_t i = 1; i < front.size(); ++i) {
        const TradeoffPoint& a = chart.points[front[i - 1]];
        const TradeoffPoint& b = chart.points[front[i]];
        const std::size_t n = 2 * width;
        for (std::size_t j = 0; j <= n; ++j) {
            const double part = static_cast<double>(j) / static_cast<double>(n);
            canvas.write(static_cast<std::size_t>(std::lround(column(a) + part * (column(b) - column(a)))),
                         static_cast<std::size_t>(std::lround(row(a) + part * (row(b) - row(a)))), ".");
        }
    }
    for (const TradeoffPoint& p : chart.points) {
        const std::string mark = p.mark + (p.on_front ? "*" : "");
        auto at = static_cast<std::size_t>(std::lround(column(p)));
        const auto line = static_cast<std::size_t>(std::lround(row(p)));
        at = std::min(at, width - std::min(width, mark.size()));
        while (!canvas.is_free(at, line, mark.size()) && at + mark.size() < width) ++at;
        canvas.write(at, line, mark);
    }
    std::string text = fmt::format("  {}\n", chart.y_title);
    const std::vector<double> y_ticks = ticks_of(y, 3);
    for (std::size_t line = 0; line < kHeight; ++line) {
        std::string label;
        for (const double v : y_ticks) {
            if (static_cast<std::size_t>(std::lround(y.at(v))) == line) label = tradeoff_tick(v);
        }
        const bool zero = line == kHeight - 1 && std::ranges::any_of(chart.points, [](const TradeoffPoint& p) { return p.y <= 0.0; });
        std::string drawn = canvas.row(line);
        drawn.erase(drawn.find_last_not_of(' ') + 1);
        text += fmt::format("{:>{}} │{}{}\n", zero ? "0" : label, kLabels, drawn.empty() ? "" : " ", drawn);
    }
    Canvas ticks(width + 8, 1);
    std::string axis = fmt::format("{:>{}} └", "", kLabels);
    for (std::size_t i = 0; i <= width; ++i) axis += "─";
    for (const double v : ticks_of(x, 9)) {
        const std::string label = tradeoff_tick(v);
        const auto at = static_cast<std::size_t>(std::lround(x.at(v)));
        ticks.write(at - std::min(at, label.size() / 2), 0, label);
    }
    std::string below = ticks.row(0);
    below.erase(below.find_last_not_of(' ') + 1);
    return text + axis + "\n" + fmt::format("{:>{}}   {}\n{:>{}}   {}\n", "", kLabels, below, "", kLabels, chart.x_title);
}

}  // namespace rafter::report
