// The ladder in a terminal: what is doubtful, the headline, one line for each rung, then why each rung exists and what missed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "planning/ladder/report.h"
#include "planning/ladder/words.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using report::Style;

// A paragraph under a rung or a heading, indented as a whole.
std::string paragraph(std::string_view text, std::size_t columns, std::string_view indent) {
    return std::string(indent) + report::wrapped(text, columns, indent, indent.size()) + "\n";
}

std::string opening(const Ladder& ladder, const Style& style, std::size_t columns) {
    std::string text;
    for (const std::string& doubt : sentences_of(doubts_of(ladder))) text += style.warning(report::wrapped(doubt, columns, "  ")) + "\n";
    text += style.bold(report::wrapped(title_of(ladder), columns, "  ")) + "\n";
    const std::vector<std::string> facts = basis_of(ladder);
    if (!facts.empty()) text += style.dim(report::wrapped(fmt::format("{}", fmt::join(facts, " · ")), columns, "  ")) + "\n";

    report::Facts answers;
    answers.add("Total", style.bold(total_words(ladder)));
    if (const std::vector<std::string> ends = top_words(ladder); !ends.empty()) {
        answers.add("From", ends.front());
        answers.add("To", ends.back());
    }
    answers.add("Prediction", ladder.measured ? "off by: " + error_summary_words(ladder) : "nothing was measured");
    for (const std::string& wrong : wrong_signs(ladder)) answers.add("Wrong sign", style.warning(wrong));
    for (const LadderAim& aim : ladder.aims)
        answers.add(aim.met() ? "Met" : "Missed", aim.met() ? aim_words(aim) : style.warning(aim_words(aim)));
    return text + "\n" + answers.render(style, columns);
}

std::vector<std::string> table_row(const Ladder& ladder, const LadderRung& rung) {
    const LadderPoint& p = rung.after;
    if (rung.skipped) return {number_of(ladder, rung), one_line(rung.name), "–", "", "", "skipped"};
    constexpr std::size_t kRoof = 24;
    constexpr std::string_view kArithmetic = " arithmetic";
    std::string roof = fmt::format("{} {}", share_words(p), roof_name(p, ladder));
    if (roof.size() > kRoof && roof.ends_with(kArithmetic)) roof.resize(roof.size() - kArithmetic.size());
    return {number_of(ladder, rung),
            one_line(rung.name),
            rate_words(p.tokens_per_s()),
            rate_words(p.predicted_tokens_per_s()),
            fmt::format("{}{}", rung.on_path ? "" : "*", times_words(gain_of(rung))),
            has_numbers(p) ? cut_to(roof, kRoof) : std::string("–")};
}

std::string table(const Ladder& ladder, const Style& style, std::size_t columns) {
    using report::Align;
    constexpr std::size_t kName = 1;
    constexpr std::size_t kRate = 2;
    constexpr std::size_t kPredicted = 3;
    const std::vector<report::Column> all{{"", Align::kRight},     {"rung"},       {"tok/s", Align::kRight}, {"predicted", Align::kRight},
                                          {"gain", Align::kRight}, {"of the roof"}};
    std::vector<std::vector<std::string>> rows;
    for (const LadderRung& rung : ladder.rungs) rows.push_back(table_row(ladder, rung));
    std::size_t others = 0;  // columns that all but the name take
    std::vector<report::Column> head;
    for (std::size_t c = 0; c < all.size(); ++c) {
        if (c == kPredicted && !ladder.measured) continue;  // the rate is the prediction
        head.push_back(all[c]);
        std::size_t width = c == kName ? 0 : report::display_width(all[c].title);
        for (const auto& row : rows) width = std::max(width, c == kName ? 0 : report::display_width(row[c]));
        others += width + 2;
    }
    constexpr std::size_t kMinName = 10;
    report::Table shown(head);
    for (auto& row : rows) {
        row[kName] = cut_to(row[kName], std::max(kMinName, columns - std::min(columns, others)));
        row[kRate] = style.bold(row[kRate]);
        if (!ladder.measured) row.erase(row.begin() + kPredicted);
        shown.add(std::move(row));
    }
    std::string text = shown.render(style);
    if (std::ranges::any_of(ladder.rungs, [](const LadderRung& rung) { return !rung.on_path; }))
        text += style.dim("* at a load of its own, where it matters most") + "\n";
    return text;
}

std::string story(const Ladder& ladder, const LadderRung& rung, const Style& style, std::size_t columns) {
    constexpr std::string_view kIndent = "   ";
    const std::string number = number_of(ladder, rung);
    std::string text = fmt::format("\n{:<3}{}", number, style.bold(cut_to(one_line(rung.name), columns - 4)));
    text += "\n";
    const auto add = [&](std::string_view line) { text += paragraph(line, columns, kIndent); };
    // Batches exist for one reason: it is said once.
    const bool is_said = &rung != ladder.rungs.data() && (&rung - 1)->why == rung.why;
    if (!rung.why.empty() && !is_said) add(one_line(rung.why));
    if (rung.skipped) return text += style.warning(paragraph("Skipped: " + one_line(*rung.skipped), columns, kIndent));
    std::string load = one_line(rung.load);
    if (const std::string gain = gain_words(rung); !gain.empty()) load += fmt::format("{}{}", load.empty() ? "" : ": ", gain);
    if (!load.empty()) add(load);
    if (has_numbers(rung.after)) {
        add(fmt::format("{}; {}", step_words(rung.after), roof_words(rung.after, ladder)));
        add(fmt::format("{}; {} of memory", traffic_words(rung.after), bytes_words(rung.after.memory_bytes)));
    }
    if (const std::string check = check_words(rung.check); !check.empty()) {
        const std::string line = paragraph("Output: " + check, columns, kIndent);
        text += rung.check.passed ? line : style.warning(line);
    }
    if (!rung.options.empty()) text += style.dim(paragraph("With " + one_line(rung.options), columns, kIndent));
    for (const std::string& note : rung.notes) text += style.warning(paragraph(one_line(note), columns, kIndent));
    return text;
}

std::string section(std::string_view heading, const std::vector<std::string>& lines, const Style& style, std::size_t columns) {
    if (lines.empty()) return "";
    std::string text = fmt::format("\n{}\n", style.bold(heading));
    for (const std::string& line : lines) text += paragraph(one_line(line), columns, "  ");
    return text;
}

}  // namespace

std::string ladder_text(const Ladder& ladder, const Style& style, std::size_t columns) {
    columns = std::max<std::size_t>(columns, 40);
    std::string text = opening(ladder, style, columns) + "\n" + table(ladder, style, columns);
    for (const LadderRung& rung : ladder.rungs) text += story(ladder, rung, style, columns);
    text += section("Machine", machine_facts(ladder), style, columns);
    text += section("Method", ladder.method, style, columns);
    text += section("Caveats", ladder.caveats, style, columns);
    return text + section("Again", {command_of(ladder)}, style, columns);
}

}  // namespace rafter::planning
