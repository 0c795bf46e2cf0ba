// Sentences, the table in a terminal, the picture and the page of a quantiser's front.
#include "planning/quantize_front.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "planning/comparison_words.h"
#include "planning/ladder/words.h"
#include "planning/quantize_front_words.h"
#include "report/html.h"
#include "report/table.h"
#include "report/units.h"
#include "tensor/formats/formats.h"

namespace rafter::planning {
namespace {

std::string front_title(const QuantizeFront& front) { return one_line(front.model) + ", quantised to " + front.target; }

bool has_speed(const QuantizeFront& front) { return !front.hardware.empty(); }

// Names of devices come from files.
std::vector<std::string> shown_doubts(const QuantizeFront& front) {
    std::vector<std::string> doubts;
    for (const std::string& doubt : front.doubts) doubts.push_back(one_line(doubt));
    return doubts;
}

const FrontPoint& chosen_point(const QuantizeFront& front) { return *std::ranges::find(front.points, true, &FrontPoint::is_chosen); }

std::vector<std::string> front_header(const QuantizeFront& front) {
    std::vector<std::string> header = {"", "size", "bits"};
    if (has_speed(front)) header.emplace_back("tok/s");
    header.emplace_back("KL");
    header.emplace_back("matrices");
    return header;
}

std::vector<std::string> front_row(const QuantizeFront& front, const FrontPoint& point) {
    std::vector<std::string> cells = {point.is_chosen ? ">" : "", report::bytes(point.size_bytes), fmt::format("{:.2f}", point.bits)};
    if (has_speed(front)) cells.push_back(fmt::format("{:.1f}", point.tokens_per_s));
    cells.push_back(fmt::format("{:.5f}", point.kl));
    cells.push_back(point.types);
    return cells;
}

}  // namespace

std::string choice_words(const QuantizeFront& front) {
    return fmt::format("chosen: {}{}, KL {:.5f} predicted, {:.5f} ± {:.5f} measured on {}", front.target,
                       front.is_speed ? " predicted for " + one_line(front.hardware) : "", front.predicted_kl, front.loss.mean_kl,
                       front.loss.mean_kl_error, one_line(front.text));
}

std::string trial_words(const engine::RepairTrial& trial) {
    return fmt::format("{} at {:.2f} times the loss: {} matrices change, KL {:.5f}{}", one_line(trial.kind), trial.factor, trial.n_changed,
                       trial.kl, trial.is_kept ? ", kept" : "");
}

std::vector<std::string> method_words(const QuantizeFront& front) {
    std::vector<std::string> sentences;
    if (!front.type_losses.empty()) {
        std::vector<std::string> parts;
        for (const engine::TypeLoss& loss : front.type_losses) {
            parts.push_back(fmt::format("{} {:.2f}", tensor::format_of(loss.dtype).name, loss.factor));
        }
        sentences.push_back(fmt::format("Losses of other types than {}, measured over predicted by the weights' error: {}.",
                                        tensor::format_of(engine::kProbeType).name, fmt::join(parts, ", ")));
    }
    if (!front.trials.empty()) {
        const auto n_kept = std::ranges::count(front.trials, true, &engine::RepairTrial::is_kept);
        sentences.push_back(fmt::format("Repair: {} other choices of the same cost measured, {} kept, KL {:.5f} -> {:.5f}.",
                                        front.trials.size(), n_kept, front.first_kl, front.loss.mean_kl));
    }
    if (has_speed(front)) {
        sentences.push_back(fmt::format("tok/s: predicted for {}, one sequence, one token that sees {}.", one_line(front.hardware),
                                        report::grouped(front.n_context)));
    }
    return sentences;
}

std::string front_text(const QuantizeFront& front, const report::Style& style) {
    std::vector<report::Column> columns;
    for (const std::string& title : front_header(front)) {
        const bool is_words = title.empty() || title == "matrices";
        columns.push_back({title, is_words ? report::Align::kLeft : report::Align::kRight});
    }
    report::Table table(columns);
    for (const FrontPoint& point : front.points) {
        std::vector<std::string> cells = front_row(front, point);
        if (point.is_chosen) cells.back() = style.bold(cells.back());
        table.add(std::move(cells));
    }
    std::string text = choice_words(front) + "\n";
    for (const std::string& doubt : shown_doubts(front)) text += style.warning(doubt) + "\n";
    for (const std::string& sentence : method_words(front)) text += style.dim(sentence) + "\n";
    return text + "\n" + table.render(style) + "\n";
}

// Right is smaller, or faster. A smaller file is one with fewer bytes for the same weights: how many times smaller than the source.
report::TradeoffChart tradeoff_of(const QuantizeFront& front) {
    report::TradeoffChart chart{
        .title = front_title(front),
        .description = fmt::format("Right is {}, down is nearer to the source. Losses are predicted from what single matrices lose on {}.",
                                   front.is_speed ? "faster" : "smaller", one_line(front.text)),
        .x_title = front.is_speed ? fmt::format("decode, tokens a second on {}, predicted", one_line(front.hardware))
                                  : "times smaller than the source",
        .y_title = "KL divergence from the source, nats a token",
        .points = {}};
    for (std::size_t i = 0; i < front.points.size(); ++i) {
        const FrontPoint& point = front.points[i];
        const std::string cost = front.is_speed ? fmt::format("{:.1f} tok/s, ", point.tokens_per_s) : "";
        chart.points.push_back({.x = front.is_speed ? point.tokens_per_s : front.source_bytes / point.size_bytes,
                                .y = point.kl,
                                .mark = fmt::format("{}", i + 1),
                                .title = fmt::format("{}{}{}, {:.2f} bits", point.is_chosen ? "chosen: " : "", cost,
                                                     report::bytes(point.size_bytes), point.bits),
                                .detail = fmt::format("KL {} predicted\n{}", kl_words(point.kl), point.types),
                                .on_front = point.is_chosen});
    }
    return chart;
}

std::string front_svg(const QuantizeFront& front) {
    return tradeoff_svg(tradeoff_of(front), {.alone = true, .warnings = shown_doubts(front), .before_warnings = ""});
}

std::string front_html(const QuantizeFront& front) {
    report::Page page(front_title(front), fmt::format("rafter {}", one_line(front.version)), "rafter quantize");
    page.add_doubts(shown_doubts(front));
    const FrontPoint& chosen = chosen_point(front);
    std::vector<report::Card> cards = {{"size", report::bytes(chosen.size_bytes), fmt::format("{:.2f} bits a weight", chosen.bits)},
                                       {"lost, measured", "KL " + kl_error_words(front.loss.mean_kl, front.loss.mean_kl_error),
                                        fmt::format("predicted {}", kl_words(front.predicted_kl))},
                                       {"same likeliest token", fmt::format("{:.1f}%", 100.0 * front.loss.same_top), "as the source's"}};
    if (has_speed(front)) {
        cards.push_back({"decode, predicted", fmt::format("{:.1f} tok/s", chosen.tokens_per_s), one_line(front.hardware)});
    }
    page.add_cards(cards);
    const report::TradeoffChart chart = tradeoff_of(front);
    page.add_heading(front.is_speed ? "Loss against speed" : "Loss against size", chart.description);
    page.add_figure(
        {.wide = tradeoff_svg(chart, {.warnings = {}}), .narrow = tradeoff_svg(chart, {.narrow = true, .warnings = {}}), .legend = {}});
    page.add_heading("The front", "KL as predicted. > is the choice.");
    std::vector<std::vector<std::string>> rows;
    for (const FrontPoint& point : front.points) rows.push_back(front_row(front, point));
    page.add_table(front_header(front), rows);
    page.add_heading("How it was measured", "");
    page.add_notes(method_words(front));
    if (!front.trials.empty()) {
        std::vector<std::string> trials;
        for (const engine::RepairTrial& trial : front.trials) trials.push_back(trial_words(trial));
        page.add_heading("Other choices of the same cost", "");
        page.add_notes(trials);
    }
    page.add_heading("To make it again", "");
    page.add_code(front.command);
    return page.render();
}

}  // namespace rafter::planning
