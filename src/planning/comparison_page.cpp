// A comparison as a page and as a picture.
#include <fmt/format.h>

#include <algorithm>

#include "planning/comparison.h"
#include "planning/comparison_words.h"
#include "planning/ladder/words.h"
#include "report/html.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

std::vector<report::Card> comparison_cards(const Comparison& comparison) {
    const auto fastest = std::ranges::max_element(comparison.models, {}, [](const ComparedModel& m) { return m.decode.measured; });
    const auto nearest = std::ranges::min_element(comparison.models, {}, [](const ComparedModel& m) { return m.loss.mean_kl; });
    const auto smallest = std::ranges::min_element(comparison.models, {}, &ComparedModel::size_bytes);
    return {{"fastest", report::rate(fastest->decode.measured) + " tok/s", one_line(fastest->file)},
            {"nearest to the reference", "KL " + kl_words(nearest->loss.mean_kl), one_line(nearest->file)},
            {"smallest", report::bytes(smallest->size_bytes), one_line(smallest->file)}};
}

std::vector<std::string> comparison_row(const ComparedModel& model, std::size_t number, bool on_front) {
    const engine::DivergenceSummary& loss = model.loss;
    return {fmt::format("{}{} {}", number, on_front ? "*" : "", one_line(model.file)),
            report::bytes(model.size_bytes),
            fmt::format("{:.2f}", model.bits),
            fmt::format("{} ({})", report::rate(model.prefill.measured), report::rate(model.prefill.predicted)),
            fmt::format("{} ({})", report::rate(model.decode.measured), report::rate(model.decode.predicted)),
            kl_error_words(loss.mean_kl, loss.mean_kl_error),
            kl_words(loss.kl_99),
            kl_words(loss.kl_999),
            fmt::format("{:.1f}%", 100.0 * loss.same_top),
            fmt::format("{:.2f}", loss.perplexity),
            fmt::format("{:.3f}", loss.perplexity_ratio)};
}

}  // namespace

std::string comparison_svg(const Comparison& comparison) {
    return tradeoff_svg(tradeoff_of(comparison), {.alone = true, .warnings = comparison.doubts, .before_warnings = ""});
}

std::string comparison_html(const Comparison& comparison) {
    report::Page page(comparison_title(comparison), fmt::format("rafter {}", one_line(comparison.version)), "rafter compare");
    page.add_doubts(comparison.doubts);
    if (!comparison.models.empty()) page.add_cards(comparison_cards(comparison));
    const report::TradeoffChart chart = tradeoff_of(comparison);
    page.add_heading("Quality lost against speed", chart.description);
    page.add_figure(
        {.wide = tradeoff_svg(chart, {.warnings = {}}), .narrow = tradeoff_svg(chart, {.narrow = true, .warnings = {}}), .legend = {}});
    page.add_heading(
        "Every number",
        "Speeds are tokens a second, measured (and predicted). * on the Pareto front. KL: the mean, and what 99% and 99.9% of the "
        "tokens stay below. Same token: how often the likeliest token is the reference's. Ratio: of the perplexity to the "
        "reference's. ± is one standard error, tokens taken as independent.");
    std::vector<std::vector<std::string>> rows;
    for (std::size_t i = 0; i < comparison.models.size(); ++i) {
        rows.push_back(comparison_row(comparison.models[i], i + 1, chart.points[i].on_front));
    }
    page.add_table({"model", "size", "bits", "prefill", "decode", "KL", "99%", "99.9%", "same token", "perplexity", "ratio"}, rows);
    page.add_heading("How it was measured", "");
    page.add_notes({loss_words(comparison) + ".", speed_words(comparison) + ". " + one_line(comparison.hardware) + "."});
    page.add_heading("To make it again", "");
    page.add_code(comparison.command);
    return page.render();
}

}  // namespace rafter::planning
