// The choice, its memory, and the line that says both.
#include "planning/planned_engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/quote.h"
#include "base/suggest.h"
#include "planning/checked_number.h"
#include "report/units.h"
#include "roofline/engine.h"

namespace rafter::planning {
namespace {

using roofline::EngineKind;

Result<void> set(const char* option, const std::optional<double>& value, double most, std::optional<double>& place) {
    RAFTER_TRY_VOID(in_range(option, value, 1, 1, most));
    place = value;
    return {};
}

// "each key and value head is held by 4 devices"
std::string copies_note(const PlanRequest& r, double copies) {
    const roofline::Parallel& p = r.scenario.setup.parallel;
    const model::ModelConfig& c = r.scenario.list().program.config;
    const bool latent = c.mla.kv_lora_rank > 0;
    const double heads = latent ? 1.0 : c.n_kv_heads;
    if (r.scenario.setup.engine == EngineKind::kIdeal) {
        if (p.tp <= heads) return {};
        return fmt::format("the cache is split evenly over {} devices, beyond {}, along the sequence (as with context parallelism)",
                           report::whole(p.tp), latent ? "the one latent" : fmt::format("the {} key and value heads", c.n_kv_heads));
    }
    if (copies <= 1.005) return {};
    return fmt::format("{} held {} times by the {} tensor-parallel devices", latent ? "the latent cache is" : "the KV cache is",
                       copies < 10 ? report::rate(copies) : report::whole(copies), report::whole(p.tp));
}

}  // namespace

Result<void> choose_engine(const PlanOptions& o, PlanRequest& r) {
    EngineKind& engine = r.scenario.setup.engine;
    if (!o.engine.empty()) {
        const auto named = roofline::engine_named(o.engine);
        const std::vector<std::string> names = roofline::engine_names();
        if (!named) {
            return bad_input("--engine: expected one of {}, found {}{}", fmt::join(names, ", "), quote(o.engine),
                             did_you_mean(o.engine, names));
        }
        engine = *named;
    } else if (o.hardware == "this") {
        engine = EngineKind::kRafter;
    } else {
        engine = o.efficiency == "ideal" ? EngineKind::kIdeal : EngineKind::kVllm;
    }
    return {};
}

Result<void> set_engine_memory(const PlanOptions& o, PlanRequest& r) {
    const roofline::Setup& setup = r.scenario.setup;
    roofline::Load& load = r.scenario.load;
    load.memory_fraction = roofline::default_memory_fraction(setup.engine, setup.hardware, setup.parallel);
    load.follows_engine = !o.memory_fraction;
    RAFTER_TRY(load.memory_fraction, in_range("--memory-fraction", o.memory_fraction, load.memory_fraction, 1e-6, 1));
    RAFTER_TRY_VOID(set("--step-tokens", o.step_tokens, 1e9, load.step_tokens));
    RAFTER_TRY_VOID(set("--max-sequences", o.max_sequences, 1e9, load.max_sequences));
    load.reserved_bytes = o.reserved_bytes;
    const roofline::MemoryFit fit = roofline::price_memory(r.scenario);
    std::vector<std::string> said;
    if (roofline::has_overheads(setup.engine)) {
        said.push_back(fmt::format("{} of memory used", report::percent(load.memory_fraction)));
        said.push_back(fmt::format("{} a device besides weights and cache{}", report::bytes(fit.workspace_bytes / setup.parallel.devices()),
                                   load.reserved_bytes ? "" : " (estimated)"));
    }
    if (const std::string copies = copies_note(r, fit.kv_copies); !copies.empty()) said.push_back(copies);
    r.engine_note = roofline::name_of(setup.engine);
    if (!said.empty()) r.engine_note += fmt::format(": {}", fmt::join(said, "; "));
    return {};
}

}  // namespace rafter::planning
