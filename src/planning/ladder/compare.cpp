// Two ladders of the same model, rung by rung: shares of the roof and gains, which another hour or another machine of the kind leaves
// alone.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planning/ladder/report.h"
#include "planning/ladder/words.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using report::Style;

enum class Verdict { kSame, kWorse, kBetter, kNotCompared };

struct Judged {
    Verdict verdict = Verdict::kNotCompared;
    std::string words;
};

// A share of AMX's arithmetic says nothing of one of VNNI's.
bool have_same_roofs(const Ladder& a, const Ladder& b) {
    return std::ranges::equal(a.roofs, b.roofs, {}, &LadderRoof::name, &LadderRoof::name);
}

// noise: of the machine, as the probes of both ladders saw it.
Judged judge(const LadderRung& now, const LadderRung& then, double machine_noise, bool same_roofs) {
    constexpr double kOfNote = 0.10;
    constexpr double kOfOneRun = 0.20;  // requests are answered once, so that nothing says how far two runs lie apart
    if (then.check.kind != OutputCheck::Kind::kNone && then.check.passed && !now.skipped && !now.check.passed)
        return {Verdict::kWorse, "worse: outputs differ"};
    if (then.skipped && now.skipped) return {Verdict::kSame, "skipped in both"};
    if (then.skipped) return {Verdict::kSame, "skipped then"};
    if (now.skipped) return {Verdict::kNotCompared, "skipped now"};
    if (now.load != then.load) return {Verdict::kNotCompared, "another load"};
    if (now.after.measured_seconds.has_value() != then.after.measured_seconds.has_value())
        return {Verdict::kNotCompared, now.after.measured_seconds ? "predicted then" : "predicted now"};
    if (!has_numbers(now.after) || !has_numbers(then.after)) return {Verdict::kNotCompared, "no numbers"};
    const bool both_compute = now.after.roof == roofline::PriceBound::kCompute && then.after.roof == roofline::PriceBound::kCompute;
    if (both_compute && !same_roofs && now.after.level != then.after.level) return {Verdict::kNotCompared, "another roof"};
    const double before = then.after.roof_fraction();
    const double after = now.after.roof_fraction();
    if (!std::isfinite(before) || !std::isfinite(after) || before <= 0.0) return {Verdict::kNotCompared, "no share of a roof"};
    const double change = after / before - 1.0;
    double noise = std::max(kOfNote, machine_noise);
    if (now.after.spread <= 0.0 && now.after.measured_seconds) noise = std::max(noise, kOfOneRun);
    for (const double spread : {now.after.spread, then.after.spread}) {
        if (std::isfinite(spread)) noise = std::max(noise, spread);
    }
    if (change < -noise) return {Verdict::kWorse, fmt::format("worse by {}", report::percent(-change))};
    if (change > noise) return {Verdict::kBetter, fmt::format("better by {}", report::percent(change))};
    return {Verdict::kSame, "same"};
}

std::string shown(const Judged& judged, const Style& style) {
    switch (judged.verdict) {
        case Verdict::kWorse:
            return style.warning(judged.words);
        case Verdict::kBetter:
            return style.accent(judged.words);
        case Verdict::kNotCompared:
        case Verdict::kSame:
            return style.dim(judged.words);
    }
    return judged.words;
}

// What the two were not made of alike: first lines.
std::string differences(const Ladder& now, const Ladder& then, const Style& style) {
    std::string text;
    const auto add = [&](const char* what, const std::string& a, const std::string& b) {
        if (a == b) return;
        text += style.warning(report::wrapped(fmt::format("Another {}: {} now, {} then", what, one_line(a.empty() ? "unknown" : a),
                                                          one_line(b.empty() ? "unknown" : b)),
                                              80, "  ")) +
                "\n";
    };
    add("model", now.model, then.model);
    add("model file", now.file, then.file);
    add("machine", now.hardware, then.hardware);
    add("kind of numbers", now.measured ? "measured" : "predicted", then.measured ? "measured" : "predicted");
    add("length", now.quick ? "quick" : "full", then.quick ? "quick" : "full");
    for (const auto& [which, ladder] : {std::pair{"now", &now}, {"then", &then}}) {
        if (!ladder->complete) text += style.warning(fmt::format("Stopped early: the ladder of {}", which)) + "\n";
        if (!ladder->trusted) text += style.warning(fmt::format("The machine was not quiet: the ladder of {}", which)) + "\n";
    }
    return text;
}

}  // namespace

LadderComparison compare_ladders(const Ladder& now, const Ladder& then, const Style& style) {
    LadderComparison answer;
    using report::Align;
    report::Table rows({{"rung"},
                        {"share now", Align::kRight},
                        {"then", Align::kRight},
                        {"gain now", Align::kRight},
                        {"then", Align::kRight},
                        {"verdict"}});
    constexpr std::size_t kRoom = 24;
    const auto cells = [](const LadderRung* rung) {
        if (rung == nullptr || rung->skipped) return std::pair<std::string, std::string>{"–", "–"};
        return std::pair{share_words(rung->after), times_words(gain_of(*rung))};
    };
    const auto add = [&](const LadderRung* a, const LadderRung* b, const Judged& judged) {
        const auto [share_now, gain_now] = cells(a);
        const auto [share_then, gain_then] = cells(b);
        rows.add({cut_to(one_line((a != nullptr ? a : b)->name), kRoom), share_now, share_then, gain_now, gain_then, shown(judged, style)});
        answer.n_worse += judged.verdict == Verdict::kWorse ? 1 : 0;
        answer.n_not_compared += judged.verdict == Verdict::kNotCompared ? 1 : 0;
        answer.n_compared += judged.verdict != Verdict::kNotCompared && a != nullptr && b != nullptr ? 1 : 0;
    };
    const bool same_roofs = have_same_roofs(now, then);
    const double noise = std::max(std::isfinite(now.noise) ? now.noise : 0.0, std::isfinite(then.noise) ? then.noise : 0.0);
    for (const LadderRung& rung : now.rungs) {
        const LadderRung* before = then.find(rung.id);
        add(&rung, before, before == nullptr ? Judged{Verdict::kSame, "only now"} : judge(rung, *before, noise, same_roofs));
    }
    for (const LadderRung& rung : then.rungs) {
        if (now.find(rung.id) == nullptr) add(nullptr, &rung, {Verdict::kNotCompared, "only then"});
    }
    answer.text = differences(now, then, style) + rows.render(style);
    std::string verdict = answer.n_worse == 0 ? std::string("No rung is worse")
                                              : fmt::format("{} rung{} worse", answer.n_worse, answer.n_worse == 1 ? " is" : "s are");
    if (answer.n_compared == 0) verdict = "Nothing was compared: the two ladders have no rung in common";
    if (answer.n_compared > 0 && answer.n_not_compared > 0) verdict += fmt::format("; {} not compared", answer.n_not_compared);
    answer.text += fmt::format("\n{}\n{}\n", answer.n_worse == 0 && answer.n_compared > 0 ? style.bold(verdict) : style.warning(verdict),
                               style.dim("A rung is worse when its share of the roof fell by more than 10%, both\nspreads and the noise of "
                                         "the probes, or when its outputs are wrong."));
    return answer;
}

}  // namespace rafter::planning
