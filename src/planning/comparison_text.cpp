// A comparison in a terminal: the answer, the table, the picture, and what the numbers are.
#include <fmt/format.h>

#include <algorithm>

#include "planning/comparison.h"
#include "planning/comparison_words.h"
#include "planning/ladder/words.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

std::string comparison_table(const Comparison& comparison, const report::TradeoffChart& chart, const report::Style& style) {
    using report::Align;
    report::Table table({{"", Align::kRight},
                         {"size", Align::kRight},
                         {"bits", Align::kRight},
                         {"prefill", Align::kRight},
                         {"predicted", Align::kRight},
                         {"decode", Align::kRight},
                         {"predicted", Align::kRight},
                         {"KL", Align::kRight},
                         {"perplexity", Align::kRight}});
    for (std::size_t i = 0; i < comparison.models.size(); ++i) {
        const ComparedModel& model = comparison.models[i];
        table.add({fmt::format("{}{}", i + 1, chart.points[i].on_front ? "*" : " "), report::bytes(model.size_bytes),
                   fmt::format("{:.2f}", model.bits), report::rate(model.prefill.measured), report::rate(model.prefill.predicted),
                   style.bold(report::rate(model.decode.measured)), report::rate(model.decode.predicted),
                   style.bold(kl_words(model.loss.mean_kl)), fmt::format("{:.2f}", model.loss.perplexity)});
    }
    return table.render(style);
}

std::string comparison_names(const Comparison& comparison, const report::TradeoffChart& chart, const report::Style& style,
                             std::size_t columns) {
    std::string text;
    for (std::size_t i = 0; i < comparison.models.size(); ++i) {
        const ComparedModel& model = comparison.models[i];
        const engine::DivergenceSummary& loss = model.loss;
        text += cut_to(fmt::format("{:>2}{} {}", i + 1, chart.points[i].on_front ? "*" : " ", one_line(model.file)), columns) + "\n";
        text += style.dim(report::wrapped(fmt::format("    KL {}, 99% {}, 99.9% {}, same token {:.1f}% ± {:.1f}%",
                                                      kl_error_words(loss.mean_kl, loss.mean_kl_error), kl_words(loss.kl_99),
                                                      kl_words(loss.kl_999), 100.0 * loss.same_top, 100.0 * loss.same_top_error),
                                          columns, "    ")) +
                "\n";
    }
    return text;
}

}  // namespace

std::string comparison_text(const Comparison& comparison, const report::Style& style, std::size_t columns) {
    if (comparison.models.empty()) return "No model was compared.\n";
    const report::TradeoffChart chart = tradeoff_of(comparison);
    const auto paragraph = [&](const std::string& words) { return report::wrapped(words, columns, "") + "\n"; };
    std::string text = style.bold(report::wrapped(front_words(comparison), columns, "  ")) + "\n";
    for (const std::string& doubt : comparison.doubts) text += style.warning(report::wrapped(doubt, columns, "  ")) + "\n";
    text += "\n" + comparison_table(comparison, chart, style) + "\n" + comparison_names(comparison, chart, style, columns) + "\n";
    text += report::tradeoff_text(chart, columns) + "\n";
    text += style.dim(paragraph(loss_words(comparison) + ". * no other model is both faster and nearer.") +
                      paragraph(fmt::format("{}. {}.", speed_words(comparison), one_line(comparison.hardware))));
    return text;
}

}  // namespace rafter::planning
