// The ladder as one page: what is doubtful, the headline, the roofline climbed, the waterfall, the table, each rung's story, and how it was
// made.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "planning/ladder/pictures.h"
#include "planning/ladder/report.h"
#include "planning/ladder/words.h"
#include "report/html.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

std::vector<report::Card> cards_of(const Ladder& ladder) {
    std::vector<report::Card> cards;
    if (const auto total = total_gain(ladder)) {
        cards.push_back({"over a KV cache and nothing else", times_words(total->gain),
                         ladder.measured ? fmt::format("in tokens a second; {} predicted", times_words(total->predicted))
                                         : std::string("in tokens a second, predicted")});
        cards.push_back({"tok/s at the top", rate_words(total->to->after.tokens_per_s()),
                         total->to->load.empty() ? one_line(total->to->name)
                                                 : fmt::format("{}: {}", one_line(total->to->name), one_line(total->to->load))});
        cards.push_back(
            {"tok/s with a KV cache alone", rate_words(total->from->after.tokens_per_s()), roof_words(total->from->after, ladder)});
    }
    if (const auto errors = error_summary(ladder)) {
        cards.push_back({"predictions off by", report::percent(errors->median),
                         fmt::format("at the median of {} steps; {} at the 90th percentile", errors->n, report::percent(errors->p90))});
        const std::size_t n_wrong = wrong_signs(ladder).size();
        const auto n_gains = static_cast<std::size_t>(std::ranges::count_if(
            ladder.rungs, [](const LadderRung& rung) { return !rung.skipped && gain_of(rung) && predicted_gain_of(rung); }));
        cards.push_back({"gains of the predicted sign", fmt::format("{} of {}", n_gains - n_wrong, n_gains),
                         fmt::format("{}", fmt::join(wrong_signs(ladder), "; ")), n_wrong > 0});
    }
    if (!ladder.aims.empty()) {
        const auto n_met = std::ranges::count_if(ladder.aims, &LadderAim::met);
        cards.push_back({"aims met", fmt::format("{} of {}", n_met, ladder.aims.size()), "", n_met < std::ssize(ladder.aims)});
    }
    return cards;
}

void add_aims(const Ladder& ladder, report::Page& page) {
    if (ladder.aims.empty()) return;
    page.add_heading("What it should reach", "");
    std::vector<report::Page::Story> stories;
    for (const LadderAim& aim : ladder.aims) {
        report::Page::Story story{.mark = aim.met() ? "✓" : "✗",
                                  .title = sentence(one_line(aim.what)),
                                  .value = aim_numbers(aim),
                                  .text = "",
                                  .facts = {},
                                  .misses = {},
                                  .is_bad = !aim.met()};
        if (!aim.met())
            story.misses.push_back(aim.reason.empty() ? "Missed. No reason is known." : "Missed. " + sentence(one_line(aim.reason)));
        stories.push_back(std::move(story));
    }
    page.add_stories(stories);
}

void add_figures(const Ladder& ladder, report::Page& page) {
    const report::RooflineChart roofline = roofline_of(ladder);
    if (const std::string wide = roofline_svg(roofline, {}); !wide.empty()) {
        page.add_heading(
            "The climb",
            "Each number is a step of the model (of the prefix cache, a whole run). On the slope it waits for memory, under the flat roof "
            "for arithmetic. Fewer bytes a "
            "token move a step up the slope and to the right; a step that lies under its roof leaves something on the table. Hollow "
            "numbers are rungs at a load of their own, with a dashed line from the step without the optimisation.");
        page.add_figure({.wide = wide, .narrow = roofline_svg(roofline, {.narrow = true, .warnings = {}}), .legend = {}});
    }
    const report::WaterfallChart waterfall = waterfall_of(ladder);
    if (const std::string wide = waterfall_svg(waterfall, {}); !wide.empty()) {
        page.add_heading("What each rung brings", waterfall.description);
        page.add_figure({.wide = wide, .narrow = waterfall_svg(waterfall, {.narrow = true, .warnings = {}}), .legend = {}});
    }
}

void add_table(const Ladder& ladder, report::Page& page) {
    page.add_heading(
        "Every number",
        ladder.measured
            ? "A step's time is the one that nine in ten repeats exceed; the error is predicted over measured time. * at a load of its own."
            : "All numbers are predicted. * at a load of its own.");
    std::vector<std::string> header{"rung", "tok/s"};
    if (ladder.measured) header.push_back("predicted tok/s");
    header.push_back("step");
    if (ladder.measured) header.insert(header.end(), {"predicted step", "error"});
    header.push_back("gain");
    if (ladder.measured) header.push_back("predicted gain");
    header.insert(header.end(), {"of the roof", "FLOP/B", "moved", "memory"});
    std::vector<std::vector<std::string>> rows;
    for (const LadderRung& rung : ladder.rungs) {
        const LadderPoint& p = rung.after;
        std::vector<std::string> row{fmt::format("{}{} {}", number_of(ladder, rung), rung.on_path ? "" : "*", one_line(rung.name))};
        if (rung.skipped || !has_numbers(p)) {
            row.push_back(rung.skipped ? "skipped" : "–");
            row.resize(header.size());
            rows.push_back(std::move(row));
            continue;
        }
        row.push_back(rate_words(p.tokens_per_s()));
        if (ladder.measured) row.push_back(rate_words(p.predicted_tokens_per_s()));
        row.push_back(seconds_words(p.seconds()));
        if (ladder.measured) row.insert(row.end(), {seconds_words(p.predicted_seconds), error_words(p)});
        row.push_back(times_words(gain_of(rung)));
        if (ladder.measured) row.push_back(times_words(predicted_gain_of(rung)));
        row.insert(row.end(), {fmt::format("{} {}", share_words(p), roof_name(p, ladder)), rate_words(p.intensity()), bytes_words(p.bytes),
                               bytes_words(p.memory_bytes)});
        rows.push_back(std::move(row));
    }
    page.add_table(header, rows);
}

report::Page::Story story_of(const Ladder& ladder, const LadderRung& rung) {
    report::Page::Story story{.mark = number_of(ladder, rung),
                              .title = one_line(rung.name),
                              .value = "",
                              .text = one_line(rung.why),
                              .facts = {},
                              .misses = {},
                              .is_dim = !rung.on_path};
    if (rung.skipped) {
        story.misses.push_back("Skipped: " + one_line(*rung.skipped));
        return story;
    }
    if (gain_of(rung)) story.value = times_words(gain_of(rung));
    const auto add = [&](const char* name, std::string value) {
        if (!value.empty()) story.facts.emplace_back(name, std::move(value));
    };
    const LadderPoint& p = rung.after;
    add("load", one_line(rung.load));
    add("gain", gain_words(rung));
    if (has_numbers(p)) {
        add("speed",
            fmt::format("{} tok/s{}", rate_words(p.tokens_per_s()),
                        p.measured_seconds ? fmt::format(", {} predicted", rate_words(p.predicted_tokens_per_s())) : ", predicted"));
        add("step", step_words(p));
        add("roof", roof_words(p, ladder));
        add("work", traffic_words(p));
        add("memory", bytes_words(p.memory_bytes));
    }
    if (rung.check.passed) {
        add("output", check_words(rung.check));
    } else {
        story.misses.push_back(check_words(rung.check));
    }
    add("options", one_line(rung.options));
    for (const std::string& note : rung.notes) story.misses.push_back(one_line(note));
    return story;
}

}  // namespace

std::string ladder_html(const Ladder& ladder) {
    report::Page page(title_of(ladder), fmt::format("{}", fmt::join(basis_of(ladder), " · ")), "rafter ladder");
    page.add_doubts(sentences_of(doubts_of(ladder)));
    page.add_cards(cards_of(ladder));
    add_aims(ladder, page);
    add_figures(ladder, page);
    add_table(ladder, page);
    page.add_heading("Why each rung is there", "From the bottom.");
    std::vector<report::Page::Story> stories;
    for (const LadderRung& rung : ladder.rungs) stories.push_back(story_of(ladder, rung));
    page.add_stories(stories);
    for (const auto& [heading, lines] :
         {std::pair{"The machine", machine_facts(ladder)}, {"How it was measured", ladder.method}, {"Caveats", ladder.caveats}}) {
        if (lines.empty()) continue;
        page.add_heading(heading, "");
        std::vector<std::string> clean;
        for (const std::string& line : lines) clean.push_back(one_line(line));
        page.add_notes(clean);
    }
    page.add_heading("To make it again", "");
    page.add_code(command_of(ladder));
    return page.render();
}

}  // namespace rafter::planning
