// The answer for a terminal: the verdict first, then where the time goes, what would help, and the curves.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "planning/plan_report.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using report::Align;
using report::bar;
using report::duration;
using report::percent;
using report::Style;
using roofline::Phase;
using roofline::Plan;

std::string price(const std::optional<double>& dollars) { return dollars ? report::dollars(*dollars) : "–"; }
std::string factor(double f) { return f < 9.95 ? fmt::format("{:.2f}x", f) : fmt::format("{:.3g}x", f); }

std::string headline(const PlanRequest& r, const Style& style) {
    const roofline::Load& load = r.scenario.load;
    std::string text;
    for (const std::string& assumed : r.model->assumed) text += style.warning(fmt::format("Not certain: {}", assumed)) + "\n";
    text += style.bold(fmt::format("{} on {}", r.model->name, machine_words(r.scenario.setup)));
    text += "\n";
    text += style.dim(fmt::format("weights {} · activations {} · KV {} · batch {} · prompt {} · output {} · decoding at context {}",
                                  r.weight_type, r.activation_type, r.kv_type, report::whole(load.n_batch), report::whole(load.n_prompt),
                                  report::whole(load.n_output), report::whole(load.n_context)));
    return text + "\n";
}

std::string verdict(const PlanRequest& r, const Plan& plan, const Style& style) {
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
        facts.add("windows", fmt::format("beyond them a position takes {} of KV, within them {}",
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
              fmt::format("{} of {} positions fit in pages ({} wasted), {} where the longest is reserved ({} wasted)",
                          report::whole(m.paged.max_sequences), report::whole(r.scenario.load.n_context), percent(m.paged.waste_fraction),
                          report::whole(m.contiguous.max_sequences), percent(m.contiguous.waste_fraction)));
    if (plan.cost.price_per_hour) {
        facts.add("cost", fmt::format("{} an hour; a million tokens: {} decoded, {} of prompt, {} answered with their prompts paid",
                                      price(plan.cost.price_per_hour), price(plan.cost.per_million_output_tokens),
                                      price(plan.cost.per_million_input_tokens), price(plan.cost.per_million_tokens_with_prefill)));
    }
    if (r.scenario.slo_ttft_s || r.scenario.slo_itl_s) {
        facts.add("promise", plan.slo_batch ? fmt::format("{} here; kept up to batch {}", plan.slo_met ? "kept" : style.warning("broken"),
                                                          report::whole(*plan.slo_batch))
                                            : style.warning("cannot be kept at any batch"));
    }
    return facts.render(style);
}

std::string remedies(const Plan& plan, const Style& style) {
    if (plan.memory.remedies.empty()) return {};
    std::string text = fmt::format("\n{}\n", style.bold("What would make it fit"));
    for (const std::string& remedy : plan.memory.remedies) text += "  " + remedy + "\n";
    return text;
}

std::string where_time_goes(const char* title, const Phase& phase, const Style& style) {
    const roofline::PricedStep& p = phase.price;
    std::string text = fmt::format("\n{}{}\n", style.bold(fmt::format("{}: {}", title, duration(p.seconds))),
                                   style.dim("  each cause alone; they overlap"));
    const std::pair<const char*, double> causes[] = {
        {"reading weights", p.weights_seconds},         {"reading the KV cache", p.kv_seconds},
        {"activations, new KV", p.activations_seconds}, {"matrix arithmetic", p.compute_seconds},
        {"attention arithmetic", p.attention_seconds},  {"communication", p.communication_seconds},
        {"starting ops and steps", p.overhead_seconds}};
    std::string rows;
    for (const auto& [name, seconds] : causes) {
        if (seconds <= p.seconds * 5e-4) continue;
        const double share = seconds / p.seconds;
        rows += fmt::format("  {:<22} {:>9} {:>5}  {}\n", name, duration(seconds), percent(share), style.accent(bar(share, 40)));
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
                         {"share", Align::kRight},
                         {""}});
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
        const std::string name = op.name.size() > 44 ? op.name.substr(0, 41) + "..." : op.name;
        table.add({name, report::whole(op.count), report::count(op.cost.flops), report::bytes(op.bytes), report::rate(op.intensity()),
                   duration(op.seconds), roofline::to_string(op.bound), percent(op.share), style.accent(bar(op.share, 12))});
    }
    if (n_rest > 0)
        table.add({style.dim("all others"), report::whole(n_rest), "", "", "", "", "", percent(rest), style.accent(bar(rest, 12))});
    return table.render(style, "  ");
}

std::string what_ifs(const Plan& plan, const Style& style) {
    std::string text =
        fmt::format("\n{}{}\n", style.bold("What if"), style.dim("  gain: answers a second of one full machine, prompts included"));
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
        if (line >= 2) text += "    " + style.dim(plan.what_ifs[line - 2].why) + "\n";
    }
    return text;
}

std::string batch_curve(const PlanRequest& r, const Plan& plan, const Style& style) {
    std::string text = fmt::format("\n{}  ", style.bold("Batch"));
    std::vector<std::string> facts;
    facts.push_back(plan.compute_bound_from_batch ? fmt::format("compute takes over at {}", report::whole(*plan.compute_bound_from_batch))
                                                  : "compute never takes over");
    if (plan.memory_runs_out_at_batch) facts.push_back(fmt::format("memory runs out at {}", report::whole(*plan.memory_runs_out_at_batch)));
    text += style.dim(fmt::format("{}", fmt::join(facts, "; "))) + "\n";
    double most = 0.0;
    for (const roofline::BatchPoint& p : plan.batch_curve) most = std::max(most, p.summary.tokens_per_second);
    report::Table table({{"batch", Align::kRight},
                         {"tok/s", Align::kRight},
                         {"a token", Align::kRight},
                         {"memory", Align::kRight},
                         {"MBU", Align::kRight},
                         {"MFU", Align::kRight},
                         {"bound by"},
                         {"speculation", Align::kRight},
                         {"(verifying free)", Align::kRight},
                         {""}});
    for (const roofline::BatchPoint& p : plan.batch_curve) {
        const std::string batch = p.n_batch == r.scenario.load.n_batch ? style.bold(report::whole(p.n_batch)) : report::whole(p.n_batch);
        const std::string spec =
            p.best_gamma > 0 ? fmt::format("γ={:.0f} {}", p.best_gamma, factor(p.speculation_speedup)) : std::string("no gain");
        table.add({batch, report::rate(p.summary.tokens_per_second), duration(p.summary.itl_s),
                   p.summary.fits ? report::bytes(p.summary.memory_bytes) : style.warning(report::bytes(p.summary.memory_bytes) + " !"),
                   percent(p.summary.mbu), percent(p.summary.mfu), roofline::to_string(p.summary.bound), spec,
                   factor(p.speedup_free_verification), style.accent(bar(most > 0 ? p.summary.tokens_per_second / most : 0, 16))});
    }
    return text + table.render(style, "  ");
}

std::string context_curve(const Plan& plan, const Style& style) {
    std::string text = fmt::format("\n{}\n", style.bold("Context"));
    report::Table table({{"positions", Align::kRight},
                         {"a token", Align::kRight},
                         {"tok/s", Align::kRight},
                         {"of it KV", Align::kRight},
                         {"fit", Align::kRight}});
    for (const roofline::ContextPoint& p : plan.context_curve) {
        table.add({report::whole(p.n_context), duration(p.summary.itl_s), report::rate(p.summary.tokens_per_second), percent(p.kv_share),
                   report::whole(p.max_sequences)});
    }
    return text + table.render(style, "  ");
}

std::string speculation(const PlanRequest& r, const Plan& plan, const Style& style) {
    const roofline::Speculation& s = plan.speculation;
    std::string text = fmt::format("\n{}  ", style.bold("Speculation"));
    const std::string draft = r.draft_name.empty() ? fmt::format("a draft that costs {} of a step", percent(s.c))
                                                   : fmt::format("{} as draft, {} of a step", r.draft_name, percent(s.c));
    text += style.dim(fmt::format("{}, {} of its tokens accepted{}", draft, percent(s.alpha),
                                  r.draft_is_assumed ? " (both assumed: --draft, --alpha)" : "")) +
            "\n";
    if (s.gamma <= 0) return text + "  does not pay here: verifying costs more than it gives\n";
    text += fmt::format("  γ = {:.0f}{}: {:.2f} tokens a round, verifying costs {:.2f} steps: {} as fast ({} were verifying free)\n",
                        s.gamma, s.gamma == s.best_gamma ? ", the best here" : fmt::format(" (best: {:.0f})", s.best_gamma),
                        s.expected_tokens, s.verify_ratio, factor(s.speedup), factor(s.speedup_free_verification));
    return text;
}

}  // namespace

std::string machine_words(const roofline::Setup& setup) {
    const roofline::Parallel& p = setup.parallel;
    if (p.devices() <= 1) return setup.hardware.name;
    std::vector<std::string> parts;
    if (p.tp > 1) parts.push_back(fmt::format("tp={:.0f}", p.tp));
    if (p.pp > 1) parts.push_back(fmt::format("pp={:.0f}", p.pp));
    if (p.ep > 1) parts.push_back(fmt::format("ep={:.0f}", p.ep));
    return fmt::format("{:.0f} x {} ({})", p.devices(), setup.hardware.name, fmt::join(parts, ", "));
}

std::string plan_text(const PlanRequest& r, const Plan& plan, const Style& style) {
    std::string text = headline(r, style) + "\n" + verdict(r, plan, style) + remedies(plan, style);
    text += where_time_goes("A decode step", plan.decode, style) + ops_table(plan.decode, style);
    text += where_time_goes("The prefill", plan.prefill, style) + ops_table(plan.prefill, style);
    text += what_ifs(plan, style) + speculation(r, plan, style) + batch_curve(r, plan, style) + context_curve(plan, style);
    if (!plan.notes.empty()) text += fmt::format("\n{}\n", style.bold("Notes"));
    for (const std::string& note : plan.notes) text += fmt::format("  {}\n", note);
    const roofline::Efficiency& e = r.scenario.setup.efficiency;
    const std::string roofs =
        e.name == "ideal"
            ? std::string("Roofs are the device's own: what it could do at best. --efficiency calibrated says what to expect.")
            : fmt::format("Efficiency {}: {} of the bandwidth, {} of the flops.", e.name, percent(e.bandwidth_fraction),
                          percent(e.flop_fraction));
    return text + "\n" + style.dim(roofs) + "\n";
}

}  // namespace rafter::planning
