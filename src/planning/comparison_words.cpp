// Sentences of a comparison.
#include "planning/comparison_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "planning/ladder/words.h"
#include "report/units.h"

namespace rafter::planning {

namespace {

constexpr int kMaxKlDigits = 7;

int kl_digits(double kl) { return std::clamp(2 - static_cast<int>(std::floor(std::log10(kl))), 0, kMaxKlDigits); }

}  // namespace

std::string kl_words(double kl) {
    if (kl <= 0.0) return "0";
    return kl < 1e-7 ? "<10⁻⁷" : fmt::format("{:.{}f}", kl, kl_digits(kl));
}

std::string kl_error_words(double kl, double error) {
    if (kl < 1e-7 || error <= 0.0) return kl_words(kl);
    return fmt::format("{} ± {:.{}f}", kl_words(kl), error, kl_digits(kl));
}

report::TradeoffChart tradeoff_of(const Comparison& comparison) {
    report::TradeoffChart chart{.title = "Quality lost against speed: " + comparison_title(comparison),
                                .description =
                                    "Right is faster, down is nearer to the reference. The line joins the models that no other "
                                    "beats in both. " +
                                    loss_words(comparison) + ".",
                                .x_title = fmt::format("decode, tokens a second after {} tokens", comparison.n_context),
                                .y_title = "KL divergence from the reference, nats a token",
                                .points = {}};
    for (std::size_t i = 0; i < comparison.models.size(); ++i) {
        const ComparedModel& model = comparison.models[i];
        chart.points.push_back(
            {.x = model.decode.measured,
             .y = model.loss.mean_kl,
             .y_error = model.loss.mean_kl_error,
             .mark = fmt::format("{}", i + 1),
             .title = one_line(model.file),
             .detail = fmt::format("{}, {:.2f} bits a weight\n{} tok/s decode ({} predicted), {} tok/s prefill\nKL {}, "
                                   "perplexity {:.2f}",
                                   report::bytes(model.size_bytes), model.bits, report::rate(model.decode.measured),
                                   report::rate(model.decode.predicted), report::rate(model.prefill.measured),
                                   kl_error_words(model.loss.mean_kl, model.loss.mean_kl_error), model.loss.perplexity)});
    }
    for (const std::size_t i : report::pareto_front(chart.points)) chart.points[i].on_front = true;
    return chart;
}

std::string comparison_title(const Comparison& comparison) {
    return fmt::format("{} models on {}", comparison.models.size(), one_line(comparison.hardware));
}

std::string front_words(const Comparison& comparison) {
    const report::TradeoffChart chart = tradeoff_of(comparison);
    std::vector<std::string> parts;
    for (const std::size_t i : report::pareto_front(chart.points)) {
        const ComparedModel& model = comparison.models[i];
        parts.push_back(fmt::format("{} ({} tok/s, KL {})", i + 1, report::rate(model.decode.measured), kl_words(model.loss.mean_kl)));
    }
    return fmt::format("Pareto front, from the fastest: {}", fmt::join(parts, ", "));
}

std::string loss_words(const Comparison& comparison) {
    const std::uint64_t n_tokens = comparison.models.empty() ? 0 : comparison.models.front().loss.n_scored;
    return fmt::format("KL divergence from {} ({}), on {}: {} window{} of {}, {} tokens scored", one_line(comparison.reference_file),
                       comparison.reference_mode == "exact" ? "float32 activations and cache" : "computed as the models are",
                       one_line(comparison.text), report::grouped(comparison.n_windows), comparison.n_windows == 1 ? "" : "s",
                       comparison.context, report::grouped(n_tokens));
}

std::string speed_words(const Comparison& comparison) {
    return fmt::format("Speed: one sequence; a prompt of {} tokens, and one token after {}; predicted by the machine's profile",
                       comparison.n_prompt, comparison.n_context);
}

}  // namespace rafter::planning
