// The ladder as one page, and its pictures: the roofline with the path climbed and the waterfall of gains.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "planning/ladder/report.h"
#include "planning/ladder/words.h"
#include "report/html.h"
#include "report/roofline_chart.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

report::RooflineChart roofline_of(const Ladder& ladder) {
    report::RooflineChart chart;
    chart.title = fmt::format("Roofline of {}", title_of(ladder));
    chart.bytes_per_s = ladder.bytes_per_s;
    for (const LadderRoof& roof : ladder.roofs) {
        if (roof.flop_per_s > 0) chart.roofs.push_back({one_line(roof.name), roof.flop_per_s});
    }
    for (const LadderRung& rung : ladder.rungs) {
        if (rung.skipped || !rung.on_path || !has_numbers(rung.after) || !(rung.after.flops > 0) || !(rung.after.bytes > 0)) continue;
        chart.ladder.push_back({.intensity = rung.after.intensity(),
                                .flop_per_s = rung.after.flops / rung.after.seconds(),
                                .title = one_line(rung.name),
                                .detail = rate_words(rung.after.tokens_per_s()) + " tok/s"});
    }
    return chart;
}

}  // namespace

std::string ladder_svg(const Ladder& ladder) {
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
           roofline_svg(roofline_of(ladder), {.narrow = true, .alone = true, .warnings = doubts_of(ladder)});
}

std::string ladder_html(const Ladder& ladder) {
    report::Page page(title_of(ladder), total_words(ladder));
    page.add_warnings(doubts_of(ladder));
    page.add_heading("The roofline", "");
    const report::RooflineChart chart = roofline_of(ladder);
    page.add_figure({.wide = roofline_svg(chart, {}), .narrow = roofline_svg(chart, {.narrow = true, .warnings = {}}), .legend = {}});
    page.add_heading("Every rung", error_summary_words(ladder));
    std::vector<std::vector<std::string>> rows;
    for (const LadderRung& rung : ladder.rungs) {
        if (rung.skipped) {
            rows.push_back({one_line(rung.name), "", "", "", "skipped: " + one_line(*rung.skipped)});
            continue;
        }
        rows.push_back({one_line(rung.name), rate_words(rung.after.tokens_per_s()), rate_words(rung.after.predicted_tokens_per_s()),
                        times_words(gain_of(rung)), roof_words(rung.after, ladder)});
    }
    page.add_table({"rung", "tok/s", "predicted tok/s", "gain", "share of the roof"}, rows);
    for (const auto& [heading, lines] :
         {std::pair{"Machine", machine_facts(ladder)}, {"Method", ladder.method}, {"Caveats", ladder.caveats}}) {
        if (lines.empty()) continue;
        page.add_heading(heading, "");
        page.add_notes(lines);
    }
    return page.render();
}

}  // namespace rafter::planning
