// The answer for a terminal: about ten lines that say whether it fits, how fast it is, what binds and what to change.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "planning/plan_detail.h"
#include "planning/plan_report.h"
#include "planning/plan_words.h"
#include "report/table.h"
#include "report/units.h"

namespace rafter::planning {
namespace {

using report::duration;
using report::Style;
using roofline::Plan;

constexpr std::size_t kColumns = 80;

std::string headline(const PlanRequest& r, const Plan& plan, const Style& style) {
    std::string text;
    for (const std::string& assumed : r.model->assumed)
        text += style.warning(report::wrapped(fmt::format("Not certain: {}", assumed), kColumns, "  ")) + "\n";
    text += style.bold(fmt::format("{} on {}", r.model->name, machine_words(r.scenario.setup))) + "\n";
    for (const std::string& line : basis_words(r)) text += style.dim(report::wrapped(line, kColumns, "  ")) + "\n";
    for (const std::string& line : arithmetic_words(r, plan)) text += style.dim(report::wrapped(line, kColumns, "  ")) + "\n";
    return text + style.dim(report::wrapped(load_words(r), kColumns, "  ")) + "\n";
}

std::string memory_words(const PlanRequest& r, const Plan& plan, const Style& style) {
    const roofline::MemoryFit& m = plan.memory;
    const double needed = m.weights_bytes + m.kv_bytes + m.workspace_bytes;
    std::string parts = fmt::format("weights {}, KV cache {}", report::bytes(m.weights_bytes), report::bytes(m.kv_bytes));
    constexpr double kOfNote = 0.05;
    const bool ideal = r.scenario.setup.engine == roofline::EngineKind::kIdeal;
    if (m.workspace_bytes > kOfNote * needed)
        parts += fmt::format(", {} {}", ideal ? "workspace" : "the engine's own", report::bytes(m.workspace_bytes));
    if (m.fits) return fmt::format("{}: {} of {} ({})", style.bold("yes"), report::bytes(needed), report::bytes(m.capacity_bytes), parts);
    return fmt::format("{}: {} needed, {} available ({})", style.warning("no, it does not fit"), report::bytes(needed),
                       report::bytes(m.capacity_bytes), parts);
}

// The largest gain of an option, and of another device.
void add_changes(const Plan& plan, report::Facts& answers, const Style& style) {
    constexpr double kWorthwhile = 1.02;
    if (!plan.memory.fits) {
        std::string all = fmt::format("{}", fmt::join(plan.memory.remedies, "; "));
        answers.add("To make it fit", all.empty() ? "no single option of plan does it: more devices, or a smaller model" : all);
        return;
    }
    const roofline::WhatIf* option = nullptr;
    const roofline::WhatIf* device = nullptr;
    for (const roofline::WhatIf& w : plan.what_ifs) {
        // What the prefix cache finds is the traffic's, not the operator's.
        if (!w.after.fits || w.gain < kWorthwhile || w.change.starts_with("--prefix-hit")) continue;
        const roofline::WhatIf*& best = w.change.starts_with("--hardware") ? device : option;
        if (best == nullptr || w.gain > best->gain) best = &w;
    }
    const auto words = [&](const roofline::WhatIf& w) {
        const bool drafts = w.change.starts_with("--draft");
        const double slower = w.before.itl_s > 0 ? w.after.itl_s / w.before.itl_s : 1.0;
        std::string text =
            drafts ? fmt::format("speculation, if {} of draft tokens are accepted", report::percent(plan.speculation.alpha)) : w.change;
        text += fmt::format(": throughput {}", style.bold(report::factor(w.gain)));
        if (slower > 1.05) text += fmt::format(", time a token {}", report::factor(slower));
        if (w.after.cost_per_million_tokens) text += fmt::format(", {} a million", report::dollars(*w.after.cost_per_million_tokens));
        return text;
    };
    answers.add("Best change", option != nullptr ? words(*option) : "none of the what-ifs gains 2%");
    if (device != nullptr) answers.add("Best device", words(*device));
}

void add_promise(const PlanRequest& r, const Plan& plan, report::Facts& answers, const Style& style) {
    if (!r.scenario.slo_ttft_s && !r.scenario.slo_itl_s) return;
    if (!plan.slo_batch) {
        answers.add("Latency target", style.warning("missed at every batch size"));
        return;
    }
    answers.add("Latency target", fmt::format("{}; met up to batch {}", plan.slo_met ? "met" : style.warning("missed at this batch"),
                                              report::whole(*plan.slo_batch)));
}

std::string cost_words(const Plan& plan) {
    if (!plan.cost.price_per_hour) return "unknown: --price takes dollars an hour of one device";
    std::string text = fmt::format("{} an hour", report::dollars(*plan.cost.price_per_hour));
    if (plan.cost.per_million_tokens_with_prefill)
        text += fmt::format(", {} a million output tokens (prompts included)", report::dollars(*plan.cost.per_million_tokens_with_prefill));
    return text;
}

std::string opening(const PlanRequest& r, const Plan& plan, const Style& style) {
    const roofline::Load& load = r.scenario.load;
    const roofline::Summary& s = plan.summary;
    report::Facts answers;
    answers.add("Fits", memory_words(r, plan, style));
    std::string speed = fmt::format("{} tok/s a request", style.bold(report::rate(s.itl_s > 0 ? 1 / s.itl_s : 0.0)));
    if (load.n_batch > 1)
        speed += fmt::format(", {} tok/s in all ({} requests)", style.bold(report::rate(s.tokens_per_second)), report::whole(load.n_batch));
    answers.add("Speed", speed);
    answers.add("Each token", fmt::format("{}, bound by {}", style.bold(duration(s.itl_s)), bound_words(plan.decode)));
    answers.add("First token", fmt::format("{} for a prompt of {}, bound by {}", style.bold(duration(s.ttft_s)),
                                           report::whole(load.n_prompt), bound_words(plan.prefill)));
    if (plan.memory.paged.bytes_per_sequence > 0) {
        answers.add("Room for", fmt::format("{} sequences of {} tokens at once", style.bold(report::whole(plan.memory.paged.max_sequences)),
                                            report::whole(load.n_context)));
    }
    add_promise(r, plan, answers, style);
    add_changes(plan, answers, style);
    answers.add("Cost", cost_words(plan));
    return headline(r, plan, style) + "\n" + answers.render(style, kColumns);
}

}  // namespace

std::string plan_text(const PlanRequest& r, const Plan& plan, const Style& style, TextDetail detail) {
    const std::string text = opening(r, plan, style);
    if (detail == TextDetail::kFull) return text + plan_detail(r, plan, style);
    const std::size_t n = plan.notes.size();
    const std::string notes = n == 0 ? "" : fmt::format(", {} note{}", n, n == 1 ? "" : "s");
    return text + "\n" + style.dim(fmt::format("--full shows where the time goes, all what-ifs, curves{}.", notes)) + "\n";
}

}  // namespace rafter::planning
