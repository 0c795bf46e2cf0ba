// The picture of a plan: the roofline with every op of prefill and decode on it, the ladder up the slope, and the page around it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "planning/plan_report.h"
#include "planning/plan_words.h"
#include "report/curve_chart.h"
#include "report/html.h"
#include "report/roofline_chart.h"
#include "report/svg.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using report::dollars;
using report::duration;
using report::percent;
using roofline::Phase;
using roofline::Plan;
using roofline::Scenario;

// Flop rates are those of one device: an op's flops are spread over all devices.
report::RoofSeries series_of(std::string name, std::string css_class, const Phase& phase, double devices) {
    report::RoofSeries series{std::move(name), std::move(css_class), {}};
    for (const roofline::PricedOp& op : phase.price.ops) {
        if (op.cost.flops <= 0 || op.bytes <= 0 || op.seconds <= 0) continue;
        series.dots.push_back(
            {.intensity = op.intensity(),
             .flop_per_s = op.cost.flops / op.seconds / devices,
             .share = op.share,
             .label = op.name,
             .detail = fmt::format("{} of the step's time, {} times {}\nbound by {}\n{}FLOP, {} each: {} FLOP a byte", percent(op.share),
                                   report::whole(op.count), duration(op.seconds), roofline::to_string(op.bound),
                                   report::count(op.cost.flops), report::bytes(op.bytes), report::rate(op.intensity()))});
    }
    return series;
}

// A whole decode step as one point.
report::LadderStep stop_of(const Scenario& s, double n_new, double tokens_per_second, std::string title) {
    const roofline::PricedStep p =
        price_step(s.list(), s.setup, roofline::decode_step(s.load.n_batch, s.load.n_context + n_new - 1, n_new));
    const double devices = s.setup.parallel.devices();
    return {.intensity = p.read_bytes > 0 ? p.flops / p.read_bytes : 0.0,
            .flop_per_s = p.seconds > 0 ? p.flops / p.seconds / devices : 0.0,
            .title = std::move(title),
            .detail = report::rate(tokens_per_second) + " tok/s"};
}

// Decode at batch 1 → quantised → batched → speculative.
std::vector<report::LadderStep> ladder_of(const Scenario& scenario) {
    std::vector<report::LadderStep> steps;
    Scenario s = scenario;
    s.load.n_batch = 1;
    const double bits = roofline::weight_bytes(s.list(), s.setup.types.cost_options()) * 8 / roofline::parameters(s.list());
    steps.push_back(stop_of(s, 1, price_decode(s, roofline::Detail::kTotals).tokens_per_second,
                            fmt::format("one sequence, {}-bit weights", report::plain(std::round(bits * 100) / 100))));
    if (bits > 4.9) {
        constexpr double kNarrow = 4.0;
        s.setup.types.weight_bits = kNarrow;
        s.setup.types.expert_bits.reset();
        steps.push_back(
            stop_of(s, 1, price_decode(s, roofline::Detail::kTotals).tokens_per_second, fmt::format("quantised to {:.0f} bits", kNarrow)));
    }
    const double room = std::max(1.0, price_memory(s).paged.max_sequences);
    s.load.n_batch = std::min(scenario.load.n_batch > 1 ? scenario.load.n_batch : 16.0, room);
    const double batched = price_decode(s, roofline::Detail::kTotals).tokens_per_second;
    if (s.load.n_batch > 1) steps.push_back(stop_of(s, 1, batched, fmt::format("{} sequences together", report::whole(s.load.n_batch))));
    roofline::SpeculationQuestion q = s.speculation;
    q.n_sequences = s.load.n_batch;
    q.n_context = s.load.n_context;
    q.gamma = 0;
    const roofline::Speculation spec = speculate(s.list(), s.setup, q);
    if (spec.best_gamma > 0) {
        steps.push_back(stop_of(
            s, spec.best_gamma + 1, batched * spec.best_speedup,
            fmt::format("{:.0f} draft token{}, {} accepted", spec.best_gamma, spec.best_gamma == 1 ? "" : "s", percent(spec.alpha))));
    }
    return steps;
}

std::vector<double> batches_of(const Scenario& s) {
    const double most = std::max(64.0, s.load.n_batch);
    std::vector<double> batches{1, std::max(2.0, std::round(std::pow(most, 0.34))), std::max(4.0, std::round(std::pow(most, 0.67))), most,
                                s.load.n_batch};
    std::ranges::sort(batches);
    batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
    return batches;
}

report::RooflineChart chart_of(const PlanRequest& r, const Plan& plan) {
    const Scenario& s = r.scenario;
    const roofline::Setup& setup = s.setup;
    const double devices = setup.parallel.devices();
    report::RooflineChart chart;
    chart.title = fmt::format("Roofline of {} on {}", r.model->name, machine_words(setup));
    chart.bytes_per_s = setup.hardware.memory_bandwidth_bytes_per_s * setup.efficiency.bandwidth_fraction;
    const double matrices = plan.ridge_intensity * chart.bytes_per_s;
    std::vector<std::pair<double, std::string>> peaks;
    for (const hardware::Precision p : hardware::all_precisions()) {
        if (!setup.hardware.peak(p)) continue;
        const double rate = *setup.hardware.peak(p) * setup.efficiency.flop_fraction;
        const auto same = std::ranges::find_if(peaks, [&](const auto& known) { return std::abs(known.first / rate - 1) < 0.02; });
        if (same != peaks.end()) {
            same->second += ", " + std::string(hardware::to_string(p));
        } else {
            peaks.emplace_back(rate, hardware::to_string(p));
        }
    }
    for (const auto& [rate, name] : peaks) {
        if (std::abs(rate / matrices - 1) < 0.02)
            chart.roofs.insert(chart.roofs.begin(), {name, rate});
        else
            chart.roofs.push_back({name, rate});
    }
    if (chart.roofs.empty()) chart.roofs.push_back({"", matrices});
    int n = 0;
    for (const double batch : batches_of(s)) {
        Scenario at = s;
        at.load.n_batch = batch;
        chart.series.push_back(series_of(fmt::format("decode, batch {}", report::whole(batch)), fmt::format("s{}", std::min(5, ++n)),
                                         price_decode(at, roofline::Detail::kOps), devices));
    }
    chart.series.push_back(series_of(fmt::format("prefill of {}", report::whole(s.load.n_prompt)), "prefill", plan.prefill, devices));
    chart.ladder = ladder_of(s);
    return chart;
}

report::CurveChart batch_chart(const PlanRequest& r, const Plan& plan) {
    report::CurveChart chart{.title = "Throughput and latency over batch size",
                             .description = "Tokens a second of all sequences together, and the time between two tokens of one.",
                             .x_title = "batch: sequences decoded together",
                             .a_title = "tok/s, all sequences",
                             .b_title = "time between tokens",
                             .point_name = "batch",
                             .points = {},
                             .here = r.scenario.load.n_batch,
                             .here_name = "this plan",
                             .turn = plan.compute_bound_from_batch,
                             .turn_name = "bound by arithmetic",
                             .wall = plan.memory_runs_out_at_batch,
                             .wall_name = "out of memory"};
    for (const roofline::BatchPoint& p : plan.batch_curve) {
        chart.points.push_back(
            {p.n_batch, p.summary.tokens_per_second, p.summary.itl_s, p.summary.fits,
             fmt::format("{} tok/s, {} between tokens\n{} of memory{}, MBU {}, MFU {}\nspeculation: {}",
                         report::rate(p.summary.tokens_per_second), duration(p.summary.itl_s), report::bytes(p.summary.memory_bytes),
                         p.summary.fits ? "" : ": too much", percent(p.summary.mbu), percent(p.summary.mfu),
                         p.best_gamma > 0 ? fmt::format("{:.0f} draft token{}, {}", p.best_gamma, p.best_gamma == 1 ? "" : "s",
                                                        report::factor(p.speculation_speedup))
                                          : std::string("no gain"))});
    }
    return chart;
}

std::vector<report::Card> cards_of(const PlanRequest& r, const Plan& plan) {
    const roofline::MemoryFit& m = plan.memory;
    const roofline::Load& load = r.scenario.load;
    const double needed = m.weights_bytes + m.kv_bytes + m.workspace_bytes;
    std::vector<report::Card> cards{
        {"memory", m.fits ? "fits" : "does not fit",
         m.fits ? fmt::format("{} of {}; room for {} sequences of {} tokens", report::bytes(needed), report::bytes(m.capacity_bytes),
                              report::whole(m.paged.max_sequences), report::whole(load.n_context))
                : fmt::format("{} needed, {} available", report::bytes(needed), report::bytes(m.capacity_bytes)),
         !m.fits},
        {"tokens a second", report::rate(plan.summary.tokens_per_second),
         load.n_batch > 1 ? fmt::format("{} for each of {} requests", report::rate(1 / plan.summary.itl_s), report::whole(load.n_batch))
                          : std::string("one request")},
        {"next token", duration(plan.summary.itl_s), "bound by " + bound_words(plan.decode)},
        {"first token", duration(plan.summary.ttft_s),
         fmt::format("prompt of {}, bound by {}", report::whole(load.n_prompt), bound_words(plan.prefill))},
        {"ridge", report::rate(plan.ridge_batch_tokens), "tokens a step; with more, arithmetic binds"}};
    if (plan.cost.per_million_tokens_with_prefill) {
        cards.push_back({"a million tokens", dollars(*plan.cost.per_million_tokens_with_prefill),
                         fmt::format("of output, prompts included, at {} an hour", dollars(*plan.cost.price_per_hour))});
    }
    return cards;
}

std::vector<report::Page::BarRow> cause_bars(const Phase& phase) {
    std::vector<report::Page::BarRow> rows;
    for (const auto& [name, seconds] : causes_of(phase.price))
        rows.push_back({name, duration(seconds), "", seconds / phase.price.seconds, false});
    return rows;
}

}  // namespace

std::string plan_svg(const PlanRequest& request, const Plan& plan) {
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
           roofline_svg(chart_of(request, plan), {.narrow = true, .alone = true, .warnings = request.model->assumed});
}

std::string plan_html(const PlanRequest& r, const Plan& plan) {
    std::vector<std::string> basis = basis_words(r);
    std::ranges::move(arithmetic_words(r, plan), std::back_inserter(basis));
    report::Page page(fmt::format("{} on {}", r.model->name, machine_words(r.scenario.setup)),
                      fmt::format("{}. {}.", load_words(r), fmt::join(basis, ". ")));
    page.add_warnings(r.model->assumed);
    page.add_cards(cards_of(r, plan));
    page.add_heading("The roofline",
                     "Every op of decoding and prefill. On the slope it waits for memory, under the flat roof for arithmetic; the larger a "
                     "dot, the more of its "
                     "step's time it takes. Numbers are whole decode steps on their way up the slope.");
    const report::RooflineChart chart = chart_of(r, plan);
    std::vector<std::pair<std::string, std::string>> legend;
    for (const report::RoofSeries& s : chart.series) legend.emplace_back(s.name, s.css_class);
    page.add_figure({.wide = roofline_svg(chart, {}), .narrow = roofline_svg(chart, {.narrow = true, .warnings = {}}), .legend = legend});
    page.add_heading("Batching",
                     "More sequences share one reading of the weights: throughput rises until arithmetic or memory runs out, and each "
                     "token takes longer.");
    const report::CurveChart curves = batch_chart(r, plan);
    page.add_figure({.wide = curve_svg(curves, {}),
                     .narrow = curve_svg(curves, {.narrow = true, .warnings = {}}),
                     .legend = {{curves.a_title, "a"}, {curves.b_title, "b"}}});
    page.add_heading(fmt::format("A decode step: {}", duration(plan.decode.price.seconds)),
                     "What each cause would take alone; they overlap.");
    page.add_bars(cause_bars(plan.decode));
    page.add_heading(fmt::format("The prefill: {}", duration(plan.prefill.price.seconds)), "");
    page.add_bars(cause_bars(plan.prefill));
    page.add_heading("What if", "Gain in answered tokens a second with a full batch, prefills included.");
    double most = 1.0;
    for (const roofline::WhatIf& w : plan.what_ifs) most = std::max(most, w.gain);
    std::vector<report::Page::BarRow> rows;
    for (const roofline::WhatIf& w : plan.what_ifs) {
        const std::string cost =
            w.after.cost_per_million_tokens ? fmt::format(", {} a million", dollars(*w.after.cost_per_million_tokens)) : "";
        rows.push_back({w.name, report::factor(w.gain),
                        fmt::format("{} tok/s, {} a token, {}{}: {}", report::rate(w.after.tokens_per_second), duration(w.after.itl_s),
                                    report::bytes(w.after.memory_bytes), cost, w.why),
                        w.gain / most, w.gain < 1.005 || !w.after.fits});
    }
    page.add_bars(rows);
    for (const auto& [title, phase] : {std::pair{"Ops of a decode step", &plan.decode}, {"Ops of the prefill", &plan.prefill}}) {
        page.add_heading(title, "");
        std::vector<const roofline::PricedOp*> ops;
        for (const roofline::PricedOp& op : phase->price.ops) ops.push_back(&op);
        std::ranges::stable_sort(ops, std::greater<>{}, &roofline::PricedOp::share);
        constexpr double kOfNote = 1e-3;
        double n_rest = 0.0;
        std::vector<std::vector<std::string>> table;
        for (const roofline::PricedOp* op : ops) {
            if (op->share < kOfNote) {
                n_rest += op->count;
                continue;
            }
            table.push_back({op->name, report::whole(op->count), report::count(op->cost.flops), report::bytes(op->bytes),
                             report::rate(op->intensity()), duration(op->seconds), roofline::to_string(op->bound), percent(op->share)});
        }
        if (n_rest > 0) table.push_back({"others, under 0.1% each kind", report::whole(n_rest), "", "", "", "", "", ""});
        page.add_table({"op", "times", "FLOP each", "bytes each", "FLOP a byte", "time each", "bound by", "share"}, table);
    }
    if (!plan.notes.empty()) page.add_heading("Notes", "");
    page.add_notes(plan.notes);
    return page.render();
}

}  // namespace rafter::planning
