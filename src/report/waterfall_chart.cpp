// A wide chart has names to the left of the bars and numbers to the right; a narrow one has both above each bar.
#include "report/waterfall_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rafter::report {
namespace {

constexpr double kBar = 17;    // height
constexpr double kGroup = 46;  // between the two groups

class Drawing {
  public:
    Drawing(const WaterfallChart& chart, const PlotOptions& options) : c_(chart), options_(options), x_(1, 10, 0, 1) {}

    std::string run() && {
        const double head = options_.narrow ? 12 : 42;  // above the first row
        double height = head + 54;
        for (const auto* bars : {&c_.path, &c_.others}) {
            for (const WaterfallBar& bar : *bars) height += row_height(bar);
        }
        if (!c_.others.empty()) height += kGroup;
        const double begin = open_picture(svg_, options_, "waterfall in-order", c_.title, c_.description, {}, height);
        left_ = options_.narrow ? 14 : 290;
        right_ = options_.width() - (options_.narrow ? 14 : 252);
        top_ = begin + head;
        bottom_ = begin + height - 54;
        x_ = scale();
        grid();
        if (!options_.narrow) heads(begin + 22);
        double y = top_;
        const WaterfallBar* last = nullptr;
        double last_y = 0.0;
        for (const WaterfallBar& bar : c_.path) {
            const double at = y + bar_top(bar);
            if (last != nullptr && bar.before && !options_.narrow)
                svg_.line(x_.at(last->after), last_y + kBar, x_.at(last->after), at, "waterfall-step");
            row(bar, y, false);
            last = &bar;
            last_y = at;
            y += row_height(bar);
        }
        if (!c_.others.empty()) {
            svg_.text(14, y + 30, "head", c_.others_title);
            y += kGroup;
        }
        for (const WaterfallBar& bar : c_.others) {
            row(bar, y, true);
            y += row_height(bar);
        }
        return svg_.close("svg").take();
    }

  private:
    double row_height(const WaterfallBar& bar) const {
        if (options_.narrow) return bar.note.empty() ? 52 : 72;
        return bar.note.empty() ? 32 : 50;
    }
    double bar_top(const WaterfallBar& bar) const {
        if (options_.narrow) return bar.note.empty() ? 24 : 44;
        return (row_height(bar) - kBar) / 2;
    }

    // From below the lowest rate to above the highest.
    LogScale scale() const {
        double low = 1e300, high = 0.0;
        const auto take = [&](double rate) {
            if (!(rate > 0.0) || !std::isfinite(rate)) return;
            low = std::min(low, rate);
            high = std::max(high, rate);
        };
        for (const auto* bars : {&c_.path, &c_.others}) {
            for (const WaterfallBar& bar : *bars) {
                take(bar.after);
                take(bar.before.value_or(0.0));
                take(bar.predicted.value_or(0.0));
            }
        }
        if (high <= 0.0) low = high = 1.0;
        return {low / 1.5, high * 1.25, left_, right_};
    }

    void grid() {
        const double decade = std::abs(x_.at(10 * x_.low()) - x_.at(x_.low()));
        const bool has_room = decade > 110 || x_.high() < 10 * x_.low();
        for (double power = std::pow(10.0, std::floor(std::log10(x_.low()))); power <= x_.high(); power *= 10) {
            for (const double step : {1.0, 2.0, 5.0}) {
                const double v = power * step;
                if (v < x_.low() || v > x_.high() || (step > 1.0 && !has_room)) continue;
                svg_.line(x_.at(v), top_ - 6, x_.at(v), bottom_, step > 1.0 ? "grid fine" : "grid");
                const bool at_end = options_.narrow && x_.at(v) > right_ - 20;
                const std::string label = step > 1.0 && v < 1.0 ? fmt::format("{}", v) : step > 1.0 ? tick_of(v) : tick_label(v);
                svg_.text(at_end ? right_ : x_.at(v), bottom_ + 22, at_end ? "tick end" : "tick middle", label);
            }
        }
        svg_.text((left_ + right_) / 2, bottom_ + 46, "axis middle", c_.x_title);
    }
    static std::string tick_of(double v) { return v >= 1000 ? fmt::format("{:.0f}k", v / 1000) : fmt::format("{:.0f}", v); }

    void heads(double y) {
        svg_.text(right_ + 84, y, "axis end", "tok/s");
        svg_.text(right_ + 156, y, "axis end", "gain");
        const auto has_prediction = [](const WaterfallBar& bar) { return !bar.predicted_gain.empty(); };
        if (std::ranges::any_of(c_.path, has_prediction) || std::ranges::any_of(c_.others, has_prediction))
            svg_.text(options_.width() - 14, y, "axis end", "predicted");
    }

    void row(const WaterfallBar& bar, double y, bool is_aside) {
        const double at = y + bar_top(bar);
        const double text = options_.narrow ? y + 16 : at + kBar / 2 + 5 - (bar.note.empty() ? 0 : 9);
        const std::string name = fmt::format("{}  {}", bar.mark, bar.name);
        if (options_.narrow) {
            const std::string numbers = fmt::format("{} tok/s{}{}", bar.rate, bar.gain.empty() ? "" : " · ", bar.gain);
            svg_.text(left_, text, "waterfall-name", fitted(name, right_ - left_ - text_width(numbers) - 12));
            svg_.text(right_, text, "waterfall-gain end", numbers);
            if (!bar.note.empty()) svg_.text(left_, text + 20, "note", fitted(bar.note, right_ - left_));
        } else {
            svg_.text(14, text, "waterfall-name", fitted(name, left_ - 30));
            if (!bar.note.empty()) svg_.text(14, text + 19, "note", fitted(bar.note, left_ - 24));
            const double middle = at + kBar / 2 + 5;
            svg_.text(right_ + 84, middle, "end", bar.rate);
            svg_.text(right_ + 156, middle, "waterfall-gain end", bar.gain);
            svg_.text(options_.width() - 14, middle, "note end", bar.predicted_gain);
        }
        draw_bar(bar, at, is_aside);
    }

    void draw_bar(const WaterfallBar& bar, double y, bool is_aside) {
        const double from = bar.before ? x_.at(*bar.before) : left_;
        const double to = x_.at(bar.after);
        const bool is_loss = bar.before && bar.after < *bar.before;
        svg_.open("rect", {{"x", coordinate(std::min(from, to))},
                           {"y", coordinate(y)},
                           {"width", coordinate(std::max(2.0, std::abs(to - from)))},
                           {"height", coordinate(kBar)},
                           {"rx", "3"},
                           {"class", fmt::format("waterfall-bar{}{}",
                                                 !bar.before ? " start"
                                                 : is_loss   ? " loss"
                                                 : is_aside  ? " aside"
                                                             : "",
                                                 bar.measured ? "" : " predicted")},
                           {"tabindex", "0"},
                           {"role", "img"},
                           {"aria-label", fmt::format("{}. {}: {}", bar.mark, bar.name, bar.detail)},
                           {"data-label", fmt::format("{}  {}", bar.mark, bar.name)},
                           {"data-detail", bar.detail}});
        svg_.open("title").raw(escaped(fmt::format("{} {}\n{}", bar.mark, bar.name, bar.detail))).close("title").close("rect");
        if (bar.predicted && bar.measured) {
            svg_.line(x_.at(*bar.predicted), y - 4, x_.at(*bar.predicted), y + kBar + 4, "waterfall-tick");
        }
    }

    const WaterfallChart& c_;
    const PlotOptions& options_;
    double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
    LogScale x_;
    Svg svg_;
};

}  // namespace

std::string waterfall_svg(const WaterfallChart& chart, const PlotOptions& options) {
    if (chart.path.empty() && chart.others.empty()) return {};
    return Drawing(chart, options).run();
}

}  // namespace rafter::report
