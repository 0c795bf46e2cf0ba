// The tables behind the answer, at most 100 columns wide.
#include "planning/plan_detail.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "planning/plan_words.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using report::Align;
using report::bar;
using report::duration;
using report::factor;
using report::percent;
using report::Style;
using roofline::Phase;
using roofline::Plan;

constexpr std::size_t kDetailColumns = 100;

std::string price(const std::optional<double>& dollars) { return dollars ? report::dollars(*dollars) : "–"; }

std::string figures(const PlanRequest& r, const Plan& plan, const Style& style) {
    report::Facts facts;
    const std::string active = plan.active_parameters < plan.parameters * 0.999
                                   ? fmt::format(", {} active a token ({} without the embedding)", report::count(plan.active_parameters),
                                                 report::count(plan.active_without_embedding))
                                   : "";
    facts.add("model", fmt::format("{} parameters{}; {} of weights; {} of KV and {}FLOP a token", report::count(plan.parameters), active,
                                   report::bytes(plan.weight_bytes), report::bytes(plan.kv_bytes_per_token),
                                   report::count(plan.weight_flops_per_token)));
    if (plan.state_bytes_per_sequence > 0) {
        facts.add("state",
                  fmt::format("{} a sequence, whatever its length, beside the KV cache", report::bytes(plan.state_bytes_per_sequence)));
    }
    if (plan.growing_kv_bytes_per_token < plan.kv_bytes_per_token) {
        facts.add("windows", fmt::format("a token takes {} of KV beyond all windows, {} within them",
                                         report::bytes(plan.growing_kv_bytes_per_token), report::bytes(plan.kv_bytes_per_token)));
    }
    const auto phase = [&](const Phase& p) {
        return fmt::format("bound by {} · MBU {} · MFU {}", roofline::to_string(p.price.bound), percent(p.price.mbu), percent(p.price.mfu));
    };
    facts.add("first token",
              style.bold(duration(plan.summary.ttft_s)) +
                  fmt::format(" · {} tok/s of prompt · {}", report::rate(plan.prefill.tokens_per_second), phase(plan.prefill)));
    facts.add("next tokens",
              style.bold(duration(plan.summary.itl_s)) +
                  fmt::format(" each · {} tok/s", style.bold(report::rate(plan.decode.tokens_per_second))) +
                  (r.scenario.load.n_batch > 1 ? fmt::format(" in all, {} a request", report::rate(1 / plan.summary.itl_s)) : "") +
                  fmt::format(" · {}", phase(plan.decode)));
    facts.add("ridge", fmt::format("{} tokens a step: with fewer the matrices wait for memory, with more for arithmetic",
                                   report::rate(plan.ridge_batch_tokens)));
    const roofline::MemoryFit& m = plan.memory;
    std::string memory = fmt::format("{} weights + {} KV + {} workspace of {}: ", report::bytes(m.weights_bytes), report::bytes(m.kv_bytes),
                                     report::bytes(m.workspace_bytes), report::bytes(m.capacity_bytes));
    if (m.fits) {
        memory += fmt::format("fits, {} free", report::bytes(m.free_bytes));
    } else {
        memory += style.warning(fmt::format("does not fit, {} short", report::bytes(-m.free_bytes)));
    }
    facts.add("memory", memory);
    facts.add("sequences",
              fmt::format("{} of {} tokens fit in a paged cache ({} of it unused), {} where each reserves the longest context ({} unused)",
                          report::whole(m.paged.max_sequences), report::whole(r.scenario.load.n_context), percent(m.paged.waste_fraction),
                          report::whole(m.contiguous.max_sequences), percent(m.contiguous.waste_fraction)));
    if (plan.cost.price_per_hour) {
        facts.add("cost", fmt::format("{} an hour; a million tokens: {} decoded, {} of prompts, {} answered with their prompts included",
                                      price(plan.cost.price_per_hour), price(plan.cost.per_million_output_tokens),
                                      price(plan.cost.per_million_input_tokens), price(plan.cost.per_million_tokens_with_prefill)));
    }
    return facts.render(style, kDetailColumns);
}

std::string where_time_goes(const char* title, const Phase& phase, const Style& style) {
    const roofline::PricedStep& p = phase.price;
    std::string text = fmt::format("\n{}{}\n", style.bold(fmt::format("{}: {}", title, duration(p.seconds))),
                                   style.dim("  each cause alone; they overlap"));
    std::string rows;
    for (const auto& [name, seconds] : causes_of(p)) {
        const double share = seconds / p.seconds;
        rows += fmt::format("  {:<22} {:>11} {:>5}  {}\n", name, duration(seconds), percent(share), style.accent(bar(share, 40)));
    }
    return text + rows;
}

std::string ops_table(const Phase& phase, const Style& style) {
    report::Table table({{"op"},
                         {"times", Align::kRight},
                         {"FLOP each", Align::kRight},
                         {"bytes each", Align::kRight},
                         {"FLOP/B", Align::kRight},
                         {"time each", Align::kRight},
                         {"bound by"},
                         {"share", Align::kRight}});
    std::vector<const roofline::PricedOp*> ops;
    for (const roofline::PricedOp& op : phase.price.ops) ops.push_back(&op);
    std::ranges::stable_sort(ops, std::greater<>{}, &roofline::PricedOp::share);
    double rest = 0.0;
    double n_rest = 0.0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
        const roofline::PricedOp& op = *ops[i];
        if (i >= 12 || (i >= 4 && op.share < 5e-4)) {
            rest += op.share;
            n_rest += op.count;
            continue;
        }
        const std::string name = op.name.size() > 28 ? op.name.substr(0, 27) + "…" : op.name;
        table.add({name, report::whole(op.count), report::count(op.cost.flops), report::bytes(op.bytes), report::rate(op.intensity()),
                   duration(op.seconds), roofline::to_string(op.bound), percent(op.share)});
    }
    if (n_rest > 0) table.add({style.dim("all others"), report::whole(n_rest), "", "", "", "", "", percent(rest)});
    return table.render(style, "  ");
}

std::string what_ifs(const Plan& plan, const Style& style) {
    std::string text =
        fmt::format("\n{}{}\n", style.bold("What if"), style.dim("  gain: answered tokens a second with a full batch, prefills included"));
    report::Table table({{""},
                         {"gain", Align::kRight},
                         {"tok/s", Align::kRight},
                         {"a token", Align::kRight},
                         {"first", Align::kRight},
                         {"memory", Align::kRight},
                         {"$/M", Align::kRight}});
    for (const roofline::WhatIf& w : plan.what_ifs) {
        const std::string gain = w.gain > 1.005 ? style.accent(factor(w.gain)) : style.dim(factor(w.gain));
        table.add({w.after.fits ? w.name : style.warning(w.name), gain, report::rate(w.after.tokens_per_second), duration(w.after.itl_s),
                   duration(w.after.ttft_s), report::bytes(w.after.memory_bytes), price(w.after.cost_per_million_tokens)});
    }
    // Each row's reason stands under it.
    const std::string rows = table.render(style, "  ");
    std::size_t at = 0;
    for (std::size_t line = 0; at < rows.size(); ++line) {
        const std::size_t end = rows.find('\n', at) + 1;
        text += rows.substr(at, end - at);
        at = end;
        if (line >= 2) text += "    " + style.dim(report::wrapped(plan.what_ifs[line - 2].why, kDetailColumns - 4, "    ")) + "\n";
    }
    return text;
}

std::string batch_curve(const PlanRequest& r, const Plan& plan, const Style& style) {
    std::string text = fmt::format("\n{}  ", style.bold("Batch"));
    std::vector<std::string> facts;
    facts.push_back(plan.compute_bound_from_batch
                        ? fmt::format("bound by arithmetic from batch {} on", report::whole(*plan.compute_bound_from_batch))
                        : "never bound by arithmetic");
    if (plan.memory_runs_out_at_batch)
        facts.push_back(fmt::format("memory runs out at batch {}", report::whole(*plan.memory_runs_out_at_batch)));
    text += style.dim(fmt::format("{}", fmt::join(facts, "; "))) + "\n" +
            style.dim("  drafts: the best number of draft tokens a round; gain: by them, and if verification were free") + "\n";
    double most = 0.0;
    for (const roofline::BatchPoint& p : plan.batch_curve) most = std::max(most, p.summary.tokens_per_second);
    report::Table table({{"batch", Align::kRight},
                         {"tok/s", Align::kRight},
                         {"a token", Align::kRight},
                         {"memory", Align::kRight},
                         {"MBU", Align::kRight},
                         {"MFU", Align::kRight},
                         {"bound by"},
                         {"drafts", Align::kRight},
                         {"gain", Align::kRight},
                         {"if free", Align::kRight},
                         {""}});
    for (const roofline::BatchPoint& p : plan.batch_curve) {
        const std::string batch = p.n_batch == r.scenario.load.n_batch ? style.bold(report::whole(p.n_batch)) : report::whole(p.n_batch);
        table.add({batch, report::rate(p.summary.tokens_per_second), duration(p.summary.itl_s),
                   p.summary.fits ? report::bytes(p.summary.memory_bytes) : style.warning(report::bytes(p.summary.memory_bytes) + " !"),
                   percent(p.summary.mbu), percent(p.summary.mfu), roofline::to_string(p.summary.bound), report::whole(p.best_gamma),
                   p.best_gamma > 0 ? factor(p.speculation_speedup) : "–", factor(p.speedup_free_verification),
                   style.accent(bar(most > 0 ? p.summary.tokens_per_second / most : 0, 8))});
    }
    return text + table.render(style, "  ");
}

std::string context_curve(const Plan& plan, const Style& style) {
    std::string text = fmt::format("\n{}\n", style.bold("Context"));
    report::Table table({{"positions", Align::kRight},
                         {"a token", Align::kRight},
                         {"tok/s", Align::kRight},
                         {"KV share", Align::kRight},
                         {"sequences that fit", Align::kRight}});
    for (const roofline::ContextPoint& p : plan.context_curve) {
        table.add({report::whole(p.n_context), duration(p.summary.itl_s), report::rate(p.summary.tokens_per_second), percent(p.kv_share),
                   report::whole(p.max_sequences)});
    }
    return text + table.render(style, "  ");
}

std::string speculation(const PlanRequest& r, const Plan& plan, const Style& style) {
    const roofline::Speculation& s = plan.speculation;
    const std::string draft = r.draft_name.empty() ? fmt::format("a draft at {} of a step", percent(s.c))
                                                   : fmt::format("{} as draft, {} of a step", r.draft_name, percent(s.c));
    std::string text = fmt::format("\n{}  ", style.bold("Speculation"));
    text += style.dim(fmt::format("{}, {} of its tokens accepted{}", draft, percent(s.alpha),
                                  r.draft_is_assumed ? " (assumed; --draft, --alpha)" : "")) +
            "\n";
    if (s.gamma <= 0) return text + "  does not pay here: verification costs more than it gains\n";
    text += fmt::format("  {:.0f} draft tokens a round{}: {:.2f} tokens a round, verification takes {} steps:\n", s.gamma,
                        s.gamma == s.best_gamma ? ", the best here" : fmt::format(" (best: {:.0f})", s.best_gamma), s.expected_tokens,
                        report::rate(s.verify_ratio));
    return text + fmt::format("  {} as fast, and {} if verification were free\n", factor(s.speedup), factor(s.speedup_free_verification));
}

std::string notes(const Plan& plan, const Style& style) {
    if (plan.notes.empty()) return {};
    std::string text = fmt::format("\n{}\n", style.bold("Notes"));
    for (const std::string& note : plan.notes) text += "  " + report::wrapped(note, kDetailColumns - 2, "    ") + "\n";
    return text;
}

}  // namespace

std::string plan_detail(const PlanRequest& r, const Plan& plan, const Style& style) {
    std::string text = fmt::format("\n{}\n", style.bold("In figures")) + figures(r, plan, style);
    text += where_time_goes("A decode step", plan.decode, style) + ops_table(plan.decode, style);
    text += where_time_goes("The prefill", plan.prefill, style) + ops_table(plan.prefill, style);
    text += what_ifs(plan, style) + speculation(r, plan, style) + batch_curve(r, plan, style) + context_curve(plan, style);
    return text + notes(plan, style);
}

}  // namespace rafter::planning
