// Words that text, pages and pictures share.
#include "planning/plan_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "report/units.h"

namespace rafter::planning {
namespace {

struct Cause {
    const char* name;
    const char* short_name;
    double seconds;
    roofline::Bound bound;
};
std::vector<Cause> all_causes(const roofline::PricedStep& p) {
    using roofline::Bound;
    return {{"reading weights", "reading weights", p.weights_seconds, Bound::kMemory},
            {"reading the KV cache", "reading the KV cache", p.kv_seconds, Bound::kMemory},
            {"activations, new KV", "activations", p.activations_seconds, Bound::kMemory},
            {"matrix arithmetic", "matrices", p.compute_seconds, Bound::kCompute},
            {"attention arithmetic", "attention", p.attention_seconds, Bound::kCompute},
            {"communication", "communication", p.communication_seconds, Bound::kCommunication},
            {"starting ops and steps", "starting ops and steps", p.overhead_seconds, Bound::kOverhead}};
}

const char* name_of(roofline::Bound bound) {
    switch (bound) {
        case roofline::Bound::kMemory:
            return "memory bandwidth";
        case roofline::Bound::kCompute:
            return "arithmetic";
        case roofline::Bound::kCommunication:
            return "communication";
        case roofline::Bound::kOverhead:
            return "fixed costs";
    }
    return "";
}

// "vLLM: 90% of memory used" → "vLLM runs it: 90% of memory used".
std::string with_verb(const std::string& engine_note) {
    const std::size_t colon = std::min(engine_note.find(':'), engine_note.size());
    return engine_note.substr(0, colon) + " runs it" + engine_note.substr(colon);
}

}  // namespace

std::string machine_words(const roofline::Setup& setup) {
    const roofline::Parallel& p = setup.parallel;
    if (p.devices() <= 1) return setup.hardware.name;
    std::vector<std::string> parts;
    if (p.tp > 1) parts.push_back(fmt::format("tp={:.0f}", p.tp));
    if (p.pp > 1) parts.push_back(fmt::format("pp={:.0f}", p.pp));
    if (p.ep > 1) parts.push_back(fmt::format("ep={:.0f}", p.ep));
    return fmt::format("{} x {} ({})", report::whole(p.devices()), setup.hardware.name, fmt::join(parts, ", "));
}

std::string load_words(const PlanRequest& r) {
    const roofline::Load& load = r.scenario.load;
    std::string text = fmt::format("{} request{} · prompt {} · answer {} · context {} · weights {}", report::whole(load.n_batch),
                                   load.n_batch == 1 ? "" : "s", report::whole(load.n_prompt), report::whole(load.n_output),
                                   report::whole(load.n_context), r.weight_type);
    if (r.activation_type != r.weight_type) text += " · activations " + r.activation_type;
    return text + " · KV " + r.kv_type;
}

std::vector<std::string> basis_words(const PlanRequest& r) {
    const roofline::Efficiency& e = r.scenario.setup.efficiency;
    const bool ideal_engine = r.scenario.setup.engine == roofline::EngineKind::kIdeal;
    if (ideal_engine && e.name == "ideal") {
        std::vector<std::string> lines{"Ideal engine and rates: an upper limit. Typical ones: --efficiency calibrated"};
        if (const auto colon = r.engine_note.find(": "); colon != std::string::npos)
            lines.push_back("Ideal engine" + r.engine_note.substr(colon));
        return lines;
    }
    std::vector<std::string> lines{ideal_engine ? fmt::format("Engine {}", r.engine_note) : fmt::format("As {}", with_verb(r.engine_note))};
    if (e.name == "ideal") {
        lines.emplace_back("Rates ideal: the hardware's limits, which no engine reaches (see --efficiency)");
    } else {
        lines.push_back(fmt::format("Rates {}: {} of bandwidth, {} of arithmetic, {} of links", e.name,
                                    report::percent(e.bandwidth_fraction), report::percent(e.flop_fraction),
                                    report::percent(e.link_fraction)));
    }
    return lines;
}

std::vector<std::string> arithmetic_words(const PlanRequest& r, const roofline::Plan& plan) {
    const roofline::Setup& setup = r.scenario.setup;
    const std::vector<roofline::PricedOp>& ops = plan.prefill.price.ops;
    const auto most = std::ranges::max_element(
        ops, {}, [](const roofline::PricedOp& op) { return op.cost.weight_bytes > 0 ? op.count * op.cost.flops : 0.0; });
    if (most == ops.end()) return {};
    const auto peak = hardware::peak_for(setup.hardware, most->precision);
    if (!peak || setup.hardware.unit(peak->precision).empty()) return {};
    std::vector<std::string> lines{fmt::format("Matrices under the {} roof, {}FLOP/s{}",
                                               hardware::roof_name(setup.hardware, peak->precision), report::count(peak->flop_per_s),
                                               setup.parallel.devices() > 1 ? " a device" : "")};
    if (!setup.hardware.arithmetic_note.empty()) lines.push_back(setup.hardware.arithmetic_note);
    return lines;
}

std::string bound_words(const roofline::Phase& phase) {
    const roofline::PricedStep& p = phase.price;
    const Cause* largest = nullptr;
    const std::vector<Cause> causes = all_causes(p);
    for (const Cause& cause : causes) {
        if (cause.bound == p.bound && (largest == nullptr || cause.seconds > largest->seconds)) largest = &cause;
    }
    if (largest == nullptr || p.seconds <= 0) return name_of(p.bound);
    const std::string share = report::percent(std::min(1.0, largest->seconds / p.seconds));
    if (p.bound == roofline::Bound::kCommunication) return fmt::format("{} ({})", name_of(p.bound), share);
    return fmt::format("{} ({} {})", name_of(p.bound), largest->short_name, share);
}

std::vector<std::pair<const char*, double>> causes_of(const roofline::PricedStep& step) {
    std::vector<std::pair<const char*, double>> found;
    for (const Cause& cause : all_causes(step)) {
        if (cause.seconds > step.seconds * 5e-4) found.emplace_back(cause.name, cause.seconds);
    }
    return found;
}

}  // namespace rafter::planning
