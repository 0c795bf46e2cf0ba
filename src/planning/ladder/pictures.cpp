// A rung is drawn where it has numbers: one that was skipped is in the text alone.
#include "planning/ladder/pictures.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "planning/ladder/report.h"
#include "planning/ladder/words.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

bool is_drawn(const LadderPoint& p) {
    return has_numbers(p) && std::isfinite(p.flops) && std::isfinite(p.bytes) && p.flops > 0.0 && p.bytes > 0.0;
}

// The numbers of a rung, a line each, for who points at it.
std::string detail_of(const Ladder& ladder, const LadderRung& rung) {
    std::vector<std::string> lines{fmt::format("{} tok/s: {}", rate_words(rung.after.tokens_per_s()), step_words(rung.after)),
                                   roof_words(rung.after, ladder), traffic_words(rung.after)};
    if (const std::string gain = gain_words(rung); !gain.empty()) lines.insert(lines.begin() + 1, gain);
    if (!rung.load.empty()) lines.push_back(one_line(rung.load));
    if (const std::string check = check_words(rung.check); !check.empty()) lines.push_back(check);
    return fmt::format("{}", fmt::join(lines, "\n"));
}

// Bandwidths above memory's that points lie under: those of caches.
std::vector<report::RooflineChart::Slope> slopes_of(const Ladder& ladder) {
    constexpr double kNear = 1.05;
    std::vector<report::RooflineChart::Slope> slopes;
    for (const LadderRung& rung : ladder.rungs) {
        const LadderPoint& p = rung.after;
        if (rung.skipped || !is_drawn(p) || p.roof != roofline::PriceBound::kMemory || !(p.roof_rate > kNear * ladder.bytes_per_s))
            continue;
        const std::string name = roof_name(p, ladder);
        const auto known = std::ranges::find(slopes, name, &report::RooflineChart::Slope::name);
        if (known == slopes.end()) {
            slopes.push_back({name, p.roof_rate});
        } else {
            known->bytes_per_s = std::max(known->bytes_per_s, p.roof_rate);
        }
    }
    return slopes;
}

}  // namespace

report::RooflineChart roofline_of(const Ladder& ladder) {
    report::RooflineChart chart;
    chart.title = fmt::format("The climb: {}{}", title_of(ladder), ladder.measured ? "" : ", predicted");
    chart.bytes_per_s = std::isfinite(ladder.bytes_per_s) ? ladder.bytes_per_s : 0.0;
    for (const LadderRoof& roof : ladder.roofs) {
        if (std::isfinite(roof.flop_per_s) && roof.flop_per_s > 0.0) chart.roofs.push_back({one_line(roof.name), roof.flop_per_s});
    }
    for (const LadderRung& rung : ladder.rungs) {
        if (rung.skipped || !is_drawn(rung.after)) continue;
        report::ClimbStop stop{.intensity = rung.after.intensity(),
                               .flop_per_s = rung.after.flops / rung.after.seconds(),
                               .mark = number_of(ladder, rung),
                               .title = one_line(rung.name),
                               .rate = rate_words(rung.after.tokens_per_s()) + " tok/s",
                               .detail = detail_of(ladder, rung),
                               .on_path = rung.on_path,
                               .from = {}};
        if (!rung.on_path && is_drawn(rung.before)) stop.from.emplace(rung.before.intensity(), rung.before.flops / rung.before.seconds());
        chart.climb.push_back(std::move(stop));
    }
    if (chart.climb.empty()) chart.roofs.clear();
    chart.slopes = slopes_of(ladder);
    return chart;
}

report::WaterfallChart waterfall_of(const Ladder& ladder) {
    report::WaterfallChart chart;
    chart.title = fmt::format("The gains: {}{}", title_of(ladder), ladder.measured ? "" : ", predicted");
    chart.description =
        ladder.measured ? "Each bar goes from the tokens a second without an optimisation to those with it; the tick is where the plan "
                          "put its end. Equal factors have equal lengths."
                        : "Each bar goes from the predicted tokens a second without an optimisation to those with it. Equal factors have "
                          "equal lengths.";
    chart.x_title = "tok/s, all sequences together";
    chart.others_title = "Each at a load of its own, where it matters most";
    for (const LadderRung& rung : ladder.rungs) {
        if (rung.skipped || !has_numbers(rung.after)) continue;
        report::WaterfallBar bar{.mark = number_of(ladder, rung),
                                 .name = one_line(rung.name),
                                 .note = rung.on_path ? "" : one_line(rung.load),
                                 .before = {},
                                 .after = rung.after.tokens_per_s(),
                                 .predicted = {},
                                 .rate = rate_words(rung.after.tokens_per_s()),
                                 .gain = gain_of(rung) ? times_words(gain_of(rung)) : "",
                                 .predicted_gain = "",
                                 .detail = detail_of(ladder, rung),
                                 .measured = rung.after.measured_seconds.has_value()};
        if (bar.measured && predicted_gain_of(rung)) bar.predicted_gain = times_words(predicted_gain_of(rung));
        if (has_numbers(rung.before)) bar.before = rung.before.tokens_per_s();
        if (std::isfinite(rung.after.predicted_seconds) && rung.after.predicted_seconds > 0.0)
            bar.predicted = rung.after.predicted_tokens_per_s();
        (rung.on_path ? chart.path : chart.others).push_back(std::move(bar));
    }
    return chart;
}

std::string ladder_svg(const Ladder& ladder, LadderPicture picture) {
    const report::PlotOptions options{.alone = true, .warnings = sentences_of(doubts_of(ladder)), .before_warnings = ""};
    const std::string svg =
        picture == LadderPicture::kRoofline ? roofline_svg(roofline_of(ladder), options) : waterfall_svg(waterfall_of(ladder), options);
    return svg.empty() ? svg : "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + svg;
}

}  // namespace rafter::planning
