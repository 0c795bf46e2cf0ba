// Boxes of labels are estimated: a picture cannot ask how wide a reader's font is.
#include "report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/plot_style.h"
#include "report/style.h"
#include "report/table.h"

namespace rafter::report {
namespace {

constexpr double kCharacter = 0.57 * kPlotFont;  // mean width, digits and capitals included
constexpr double kMargin = 14.0;
constexpr double kLine = 21.0;

// Words longer than a line are cut: a picture has no room beside it.
std::vector<std::string> lines_of(const std::string& text, double width) {
    const auto columns = static_cast<std::size_t>(width / kCharacter);
    const std::string all = wrapped(text, columns, "");
    std::vector<std::string> lines;
    for (std::size_t at = 0; at <= all.size();) {
        std::size_t end = std::min(all.find('\n', at), all.size());
        const bool is_cut = display_width(std::string_view(all).substr(at, end - at)) > columns;
        if (is_cut) {
            end = at;
            for (std::size_t n = 0; n < columns; ++n) {
                do ++end;
                while (end < all.size() && (static_cast<unsigned char>(all[end]) & 0xC0U) == 0x80U);
            }
        }
        lines.push_back(all.substr(at, end - at));
        at = is_cut ? end : end + 1;
    }
    return lines;
}

const char* class_of(Anchor anchor) { return anchor == Anchor::kStart ? "" : anchor == Anchor::kMiddle ? " middle" : " end"; }

}  // namespace

double text_width(std::string_view text) { return kCharacter * static_cast<double>(display_width(text)); }

std::string fitted(std::string_view text, double width) {
    if (text_width(text) <= width) return std::string(text);
    std::size_t end = 0;
    for (double taken = 2 * kCharacter; taken <= width && end < text.size(); taken += kCharacter) {
        do ++end;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U);
    }
    return std::string(text.substr(0, end)) + "…";
}

Box text_box(double x, double y, Anchor anchor, std::string_view text) {
    const double width = text_width(text);
    const double left = anchor == Anchor::kStart ? x : anchor == Anchor::kMiddle ? x - width / 2 : x - width;
    return {left, y - 0.8 * kPlotFont, left + width, y + 0.25 * kPlotFont};
}

bool LabelSpace::is_free(const Box& box) const {
    if (box.left < area_.left || box.right > area_.right || box.top < area_.top || box.bottom > area_.bottom) return false;
    return std::ranges::none_of(taken_, [&](const Box& taken) { return taken.meets(box); });
}

bool LabelSpace::is_free_circle(double x, double y, double radius) const {
    return is_free({x - radius, y - radius, x + radius, y + radius});
}

bool LabelSpace::draw(Svg& svg, std::string_view css_class, std::string_view text, const std::vector<Place>& places) {
    for (const Place& place : places) {
        const Box box = text_box(place.x, place.y, place.anchor, text);
        if (!is_free({box.left - 3, box.top - 1, box.right + 3, box.bottom + 1})) continue;
        taken_.push_back(box);
        svg.text(place.x, place.y, fmt::format("{}{}", css_class, class_of(place.anchor)), text);
        return true;
    }
    return false;
}

std::vector<double> decades(const LogScale& scale, double distance) {
    const double first = std::ceil(std::log10(scale.low()) - 1e-9);
    const double last = std::floor(std::log10(scale.high()) + 1e-9);
    const double apart = std::abs(scale.at(scale.high()) - scale.at(scale.low())) / std::max(1e-9, std::log10(scale.high() / scale.low()));
    const double step = std::max(1.0, std::ceil(distance / std::max(apart, 1e-9)));
    std::vector<double> values;
    for (double exponent = first; exponent <= last; exponent += step) values.push_back(std::pow(10.0, exponent));
    return values;
}

double open_picture(Svg& svg, const PlotOptions& options, std::string_view css_class, const std::string& title,
                    const std::string& description, const std::vector<LegendEntry>& legend, double height) {
    Svg head;
    double y = 0.0;
    if (options.alone) {
        const double room = options.width() - 2 * kMargin;
        const auto write = [&](const std::string& text, const char* text_class) {
            for (const std::string& line : lines_of(text, room)) head.text(kMargin, y += kLine, text_class, line);
        };
        for (const std::string& warning : options.warnings) write(options.before_warnings + warning, "doubt");
        y += 4;
        write(title, "head");
        write(description, "note");
        double x = kMargin;
        y += kLine + 4;
        for (const LegendEntry& entry : legend) {
            const double width = 18 + text_width(entry.name) + 18;
            if (x + width > options.width() && x > kMargin) {
                x = kMargin;
                y += kLine + 3;
            }
            head.element("circle", {{"cx", coordinate(x + 6)}, {"cy", coordinate(y - 5)}, {"r", "6"}, {"class", "key " + entry.css_class}});
            head.text(x + 18, y, "legend", entry.name);
            x += width;
        }
        y += 10;
    }
    const std::string view = fmt::format("0 0 {} {}", coordinate(options.width()), coordinate(y + height));
    if (options.alone) {
        // As large as its text is on paper; a narrower window takes all its width.
        svg.open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                         {"viewBox", view},
                         {"width", coordinate(1.5 * options.width())},
                         {"height", coordinate(1.5 * (y + height))},
                         {"style", "max-width:100%;height:auto;background:var(--paper)"},
                         {"class", fmt::format("plot {}", css_class)},
                         {"role", "img"},
                         {"aria-label", title}});
    } else {
        svg.open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                         {"viewBox", view},
                         {"class", fmt::format("plot {} {}", css_class, options.narrow ? "narrow" : "wide")},
                         {"role", "group"},
                         {"aria-label", title}});
    }
    svg.open("title").raw(escaped(title)).close("title");
    std::string all = description;
    for (const std::string& warning : options.warnings) all += fmt::format(" {}{}.", options.before_warnings, warning);
    svg.open("desc").raw(escaped(all)).close("desc");
    if (options.alone) svg.raw("<style>" + plot_style() + "</style>");
    svg.raw(head.take());
    return y;
}

}  // namespace rafter::report
