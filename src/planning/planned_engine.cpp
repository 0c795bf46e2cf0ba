// The choice, its memory, and the line that says both.
#include "planning/planned_engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/byte_size.h"
#include "base/quote.h"
#include "base/suggest.h"
#include "report/units.h"
#include "roofline/engine.h"

namespace rafter::planning {
namespace {

using roofline::EngineKind;

Result<std::optional<double>> number(const char* option, const std::optional<double>& value, double low, double high) {
    if (!value) return std::optional<double>();
    if (!(*value >= low && *value <= high)) {
        return bad_input("{}: expected a number from {} to {}, found {}", option, report::whole(low), report::whole(high),
                         *value < 0 ? fmt::format("{}", *value) : report::whole(*value));
    }
    return value;
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
            const auto close = closest(o.engine, names);
            return bad_input("--engine: expected one of {}, found {}{}", fmt::join(names, ", "), quote(o.engine),
                             close ? fmt::format("; did you mean {}?", *close) : "");
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
    if (o.memory_fraction) {
        if (!(*o.memory_fraction >= 1e-6 && *o.memory_fraction <= 1))
            return bad_input("--memory-fraction: expected a number from 0.000001 to 1, found {}", *o.memory_fraction);
        load.memory_fraction = *o.memory_fraction;
    }
    RAFTER_TRY(load.step_tokens, number("--step-tokens", o.step_tokens, 1, 1e9));
    RAFTER_TRY(load.max_sequences, number("--max-sequences", o.max_sequences, 1, 1e9));
    if (!o.reserve_memory.empty()) {
        load.reserved_bytes = byte_size(o.reserve_memory);
        if (!load.reserved_bytes)
            return bad_input("--reserve-memory: expected a size such as 2GB or 9.4GiB, found {}", quote(o.reserve_memory));
    }
    const roofline::MemoryFit fit = roofline::price_memory(r.scenario);
    std::vector<std::string> said;
    if (setup.engine != EngineKind::kIdeal && setup.engine != EngineKind::kRafter) {
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
