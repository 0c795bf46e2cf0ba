// The picture of a plan: the roofline with every op of prefill and decode on it, the ladder up the slope, and the page around it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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
    steps.push_back(
        stop_of(s, 1, price_decode(s, roofline::Detail::kTotals).tokens_per_second, fmt::format("one sequence, {:.3g}-bit weights", bits)));
    if (bits > 4.9) {
        constexpr double kNarrow = 4.0;
        s.setup.types.weight_bits = kNarrow;
        s.setup.types.expert_bits.reset();
        steps.push_back(stop_of(s, 1, price_decode(s, roofline::Detail::kTotals).tokens_per_second,
                                fmt::format("quantised: {:g}-bit weights", kNarrow)));
    }
    const double room = std::max(1.0, price_memory(s).paged.max_sequences);
    s.load.n_batch = std::min(scenario.load.n_batch > 1 ? scenario.load.n_batch : 16.0, room);
    const double batched = price_decode(s, roofline::Detail::kTotals).tokens_per_second;
    if (s.load.n_batch > 1) steps.push_back(stop_of(s, 1, batched, fmt::format("batched: {} sequences", report::whole(s.load.n_batch))));
    roofline::SpeculationQuestion q = s.speculation;
    q.n_sequences = s.load.n_batch;
    q.n_context = s.load.n_context;
    q.gamma = 0;
    const roofline::Speculation spec = speculate(s.list(), s.setup, q);
    if (spec.best_gamma > 0) {
        steps.push_back(stop_of(s, spec.best_gamma + 1, batched * spec.best_speedup,
                                fmt::format("speculative: {:.0f} drafts a round, {} accepted", spec.best_gamma, percent(spec.alpha))));
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
                             .x_title = "batch",
                             .a_title = "tok/s, all sequences",
                             .b_title = "time between tokens",
                             .points = {},
                             .here = r.scenario.load.n_batch,
                             .turn = plan.compute_bound_from_batch,
                             .turn_name = "compute takes over",
                             .wall = plan.memory_runs_out_at_batch,
                             .wall_name = "out of memory"};
    for (const roofline::BatchPoint& p : plan.batch_curve) {
        chart.points.push_back(
            {p.n_batch, p.summary.tokens_per_second, p.summary.itl_s, p.summary.fits,
             fmt::format(
                 "{} tok/s, {} between tokens\n{} of memory{}, MBU {}, MFU {}\nspeculation: {}", report::rate(p.summary.tokens_per_second),
                 duration(p.summary.itl_s), report::bytes(p.summary.memory_bytes), p.summary.fits ? "" : ": too much",
                 percent(p.summary.mbu), percent(p.summary.mfu),
                 p.best_gamma > 0 ? fmt::format("γ {:.0f}, {:.2f}x", p.best_gamma, p.speculation_speedup) : std::string("no gain"))});
    }
    return chart;
}

std::vector<report::Card> cards_of(const PlanRequest& r, const Plan& plan) {
    const roofline::MemoryFit& m = plan.memory;
    std::vector<report::Card> cards{
        {"next token", duration(plan.summary.itl_s), fmt::format("bound by {}", roofline::to_string(plan.decode.price.bound))},
        {"tokens a second", report::rate(plan.summary.tokens_per_second),
         r.scenario.load.n_batch > 1
             ? fmt::format("{} for each of {}", report::rate(1 / plan.summary.itl_s), report::whole(r.scenario.load.n_batch))
             : std::string("one sequence")},
        {"first token", duration(plan.summary.ttft_s),
         fmt::format("prompt of {}, bound by {}", report::whole(r.scenario.load.n_prompt), roofline::to_string(plan.prefill.price.bound))},
        {"memory", report::bytes(m.weights_bytes + m.kv_bytes + m.workspace_bytes),
         m.fits ? fmt::format("of {}; {} sequences fit", report::bytes(m.capacity_bytes), report::whole(m.paged.max_sequences))
                : fmt::format("{} more than there is", report::bytes(-m.free_bytes)),
         !m.fits},
        {"ridge", fmt::format("{} tokens", report::rate(plan.ridge_batch_tokens)), "a step, where arithmetic takes over"}};
    if (plan.cost.per_million_tokens_with_prefill) {
        cards.push_back({"a million tokens", dollars(*plan.cost.per_million_tokens_with_prefill),
                         fmt::format("at {} an hour, prompts paid", dollars(*plan.cost.price_per_hour))});
    }
    return cards;
}

std::vector<report::Page::BarRow> causes_of(const Phase& phase) {
    const roofline::PricedStep& p = phase.price;
    std::vector<report::Page::BarRow> rows;
    const std::pair<const char*, double> causes[] = {
        {"reading weights", p.weights_seconds},         {"reading the KV cache", p.kv_seconds},
        {"activations, new KV", p.activations_seconds}, {"matrix arithmetic", p.compute_seconds},
        {"attention arithmetic", p.attention_seconds},  {"communication", p.communication_seconds},
        {"starting ops and steps", p.overhead_seconds}};
    for (const auto& [name, seconds] : causes) {
        if (seconds > p.seconds * 5e-4) rows.push_back({name, duration(seconds), "", seconds / p.seconds, false});
    }
    return rows;
}

}  // namespace

std::string plan_svg(const PlanRequest& request, const Plan& plan) {
    std::string svg = roofline_svg(chart_of(request, plan));
    const std::size_t end_of_tag = svg.find('>');
    const std::string style = "<style>" + report::plot_style() + "svg { background:var(--paper); }</style>";
    std::string first_lines;
    for (std::size_t i = 0; i < request.model->assumed.size(); ++i) {
        first_lines += fmt::format("<text x=\"24\" y=\"{}\" style=\"fill:var(--ink);font:14px sans-serif\">Not certain: {}</text>",
                                   20 + 18 * i, report::escaped(request.model->assumed[i]));
    }
    svg.insert(end_of_tag + 1, style + first_lines);
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + svg;
}

std::string plan_html(const PlanRequest& r, const Plan& plan) {
    const roofline::Load& load = r.scenario.load;
    report::Page page(fmt::format("{} on {}", r.model->name, machine_words(r.scenario.setup)),
                      fmt::format("weights {} · activations {} · KV {} · batch {} · prompt {} · output {} · decoding at context {}",
                                  r.weight_type, r.activation_type, r.kv_type, report::whole(load.n_batch), report::whole(load.n_prompt),
                                  report::whole(load.n_output), report::whole(load.n_context)));
    for (const std::string& assumed : r.model->assumed) page.add_heading("Not certain", assumed);
    page.add_cards(cards_of(r, plan));
    page.add_heading("The roofline",
                     "Every op of decoding and prefill. On the slope it waits for memory, under the flat roof for arithmetic; the larger a "
                     "dot, the more of its "
                     "step's time it takes. The numbered stops are whole decode steps on their way up the slope.");
    const report::RooflineChart chart = chart_of(r, plan);
    std::vector<std::pair<std::string, std::string>> legend;
    for (const report::RoofSeries& s : chart.series) legend.emplace_back(s.name, s.css_class);
    page.add_figure(roofline_svg(chart), legend);
    page.add_heading("Batching",
                     "More sequences share one reading of the weights: throughput rises until arithmetic or memory runs out, and each "
                     "token takes longer.");
    page.add_figure(curve_svg(batch_chart(r, plan)), {{"tok/s, all sequences", "a"}, {"time between tokens", "b"}});
    page.add_heading(fmt::format("A decode step: {}", duration(plan.decode.price.seconds)),
                     "What each cause would take alone; they overlap.");
    page.add_bars(causes_of(plan.decode));
    page.add_heading(fmt::format("The prefill: {}", duration(plan.prefill.price.seconds)), "");
    page.add_bars(causes_of(plan.prefill));
    page.add_heading("What if", "Gain in answers a second of one full machine, prompts included.");
    double most = 1.0;
    for (const roofline::WhatIf& w : plan.what_ifs) most = std::max(most, w.gain);
    std::vector<report::Page::BarRow> rows;
    for (const roofline::WhatIf& w : plan.what_ifs) {
        const std::string cost =
            w.after.cost_per_million_tokens ? fmt::format(", {} a million", dollars(*w.after.cost_per_million_tokens)) : "";
        rows.push_back({w.name, fmt::format("{:.2f}x", w.gain),
                        fmt::format("{} tok/s, {} a token, {}{}: {}", report::rate(w.after.tokens_per_second), duration(w.after.itl_s),
                                    report::bytes(w.after.memory_bytes), cost, w.why),
                        w.gain / most, w.gain < 1.005 || !w.after.fits});
    }
    page.add_bars(rows);
    for (const auto& [title, phase] : {std::pair{"Ops of a decode step", &plan.decode}, {"Ops of the prefill", &plan.prefill}}) {
        page.add_heading(title, "");
        std::vector<std::vector<std::string>> table;
        for (const roofline::PricedOp& op : phase->price.ops) {
            table.push_back({op.name, report::whole(op.count), report::count(op.cost.flops), report::bytes(op.bytes),
                             report::rate(op.intensity()), duration(op.seconds), roofline::to_string(op.bound), percent(op.share)});
        }
        page.add_table({"op", "times", "FLOP each", "bytes each", "FLOP a byte", "time each", "bound by", "share"}, table);
    }
    if (!plan.notes.empty()) page.add_heading("Notes", "");
    page.add_notes(plan.notes);
    return page.render();
}

}  // namespace rafter::planning
