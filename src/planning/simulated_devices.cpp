// The plan says how many sequences fit, the scheduler's blocks are sized for as many.
#include "planning/simulated_devices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "report/units.h"
#include "roofline/engine.h"

namespace rafter::planning {
namespace {

// Sequences that compute one token are one row, and those that compute more another, with as many tokens and pairs of tokens as they have
// together: price_step() deals out the sequences of a row to groups of devices.
roofline::Step in_two_rows(const model::StepShape& shape) {
    roofline::StepRows decode{.n_sequences = 0};
    roofline::StepRows prefill{.n_sequences = 0};
    double pairs = 0.0;
    for (const model::SequenceStep& s : shape.sequences) {
        roofline::StepRows& row = s.n_new == 1 ? decode : prefill;
        row.n_sequences += 1;
        row.n_new += s.n_new;
        row.n_past += s.n_past;
        row.n_outputs += s.n_outputs;
        if (s.n_new > 1) pairs += s.n_new * (s.n_past + s.n_new / 2.0);
    }
    roofline::Step step;
    for (roofline::StepRows row : {decode, prefill}) {
        if (row.n_sequences == 0) continue;
        const double n_tokens = row.n_new;
        row.n_new /= row.n_sequences;
        row.n_past /= row.n_sequences;
        row.n_outputs /= row.n_sequences;
        if (row.n_new > 1) row.n_past = std::max(0.0, pairs / n_tokens - row.n_new / 2);
        step.rows.push_back(row);
    }
    return step;
}

double seconds_of(const PlanRequest& request, const roofline::Step& step) {
    return roofline::price_step(request.scenario.list(), request.scenario.setup, step, roofline::Detail::kTotals).seconds;
}

// What the scheduler predicts steps with. Its tables come from single sequences, which go to one group; what they look back at is divided
// by the groups, as that of many sequences is.
double table_seconds(const PlanRequest& request, const model::StepShape& shape, double n_groups) {
    const double all = seconds_of(request, shape);
    if (n_groups <= 1 || static_cast<double>(shape.sequences.size()) >= n_groups) return all;
    model::StepShape without_past = shape;
    for (model::SequenceStep& s : without_past.sequences) s.n_past = 0;
    const double base = seconds_of(request, without_past);
    return base + std::max(0.0, all - base) / n_groups;
}

// A cache for each size of window that layers have, 0 for those that keep every position. States alone count as such a cache: it is the
// number of sequences that matters.
std::vector<std::uint32_t> windows_of(const roofline::PricedList& list) {
    std::vector<std::uint32_t> windows;
    for (const roofline::CachedLayers& layers : list.caches) {
        const auto window = static_cast<std::uint32_t>(std::clamp<double>(layers.window, 0.0, UINT32_MAX));
        if (layers.count > 0 && std::ranges::find(windows, window) == windows.end()) windows.push_back(window);
    }
    if (windows.empty()) windows.push_back(0);
    std::ranges::sort(windows);
    return windows;
}

// Blocks of a cache with this window, for n_fit sequences of the whole context. Of a window the scheduler admits a sequence when its
// largest step fits too, so that each counts with that here: it is n_fit that says how many the memory holds.
std::uint32_t n_blocks_of(std::uint32_t window, const SimulationLimits& limits, std::uint32_t block_size, double n_fit) {
    const auto blocks_for = [&](std::uint32_t n) { return static_cast<double>(n / block_size + (n % block_size != 0)); };
    double each = blocks_for(limits.context);
    if (window > 0) each = std::min(each, blocks_for(window) + blocks_for(limits.step_tokens) + 2);
    return static_cast<std::uint32_t>(std::clamp<double>(each * n_fit, 1.0, UINT32_MAX));
}

std::uint32_t usual_step_tokens(const roofline::Setup& setup) {
    constexpr std::uint32_t kUsual = 8192;
    if (!roofline::has_overheads(setup.engine)) return kUsual;
    return static_cast<std::uint32_t>(roofline::default_limits(setup.engine, setup.hardware).n_tokens);
}

std::string described(const hardware::Hardware& hardware, const roofline::Parallel& p) {
    if (p.devices() <= 1) return hardware.name;
    std::vector<std::string> parts;
    for (const auto& [name, n] : {std::pair{"tp", p.tp}, {"pp", p.pp}, {"ep", p.ep}, {"cp", p.cp}}) {
        if (n > 1) parts.push_back(fmt::format("{}={:.0f}", name, n));
    }
    return fmt::format("{} x {}, {}", report::whole(p.devices()), hardware.name, fmt::join(parts, ","));
}

}  // namespace

Result<SimulatedDevices> simulated_devices(PlanOptions options, const PlanSources& sources, SimulationLimits limits) {
    options.context = limits.context;
    options.batch = limits.n_sequences;
    options.max_sequences = limits.n_sequences;
    if (limits.step_tokens > 0) options.step_tokens = limits.step_tokens;
    RAFTER_TRY(PlanRequest made, make_request(options, sources));
    const auto request = std::make_shared<const PlanRequest>(std::move(made));
    const roofline::Scenario& scenario = request->scenario;
    const roofline::Plan plan = roofline::make_plan(scenario);
    const roofline::Parallel& parallel = scenario.setup.parallel;

    SimulatedDevices devices;
    devices.model = request->model->name;
    devices.description = described(scenario.setup.hardware, parallel);
    devices.parallel = parallel;
    devices.engine = roofline::to_string(scenario.setup.engine);
    devices.engine_note = request->engine_note;
    devices.assumed = request->model->assumed;
    devices.warnings = request->warnings;
    devices.notes = plan.notes;
    if (limits.step_tokens == 0) limits.step_tokens = usual_step_tokens(scenario.setup);
    double bytes = plan.memory.pool_bytes;
    if (limits.kv_memory_bytes) bytes = std::min(bytes, static_cast<double>(*limits.kv_memory_bytes));
    const double sequence_bytes = plan.memory.paged.bytes_per_sequence;
    if (!(sequence_bytes <= bytes)) {
        return bad_input("{} does not fit on {}: a KV cache for {} tokens takes {}, and {} is left", request->model->name,
                         devices.description, report::grouped(limits.context), report::bytes(sequence_bytes),
                         report::bytes(std::max(0.0, bytes)));
    }
    const double n_fit = sequence_bytes > 0 ? bytes / sequence_bytes : limits.n_sequences;
    engine::SchedulerOptions& scheduler = devices.scheduler;
    scheduler.limits = {.n_tokens = limits.step_tokens, .n_outputs = limits.n_sequences};
    scheduler.context = limits.context;
    scheduler.windows = windows_of(scenario.list());
    for (const std::uint32_t window : scheduler.windows) {
        scheduler.n_blocks.push_back(n_blocks_of(window, limits, scheduler.block_size, n_fit));
    }
    if (roofline::state_bytes_per_sequence(scenario.list()) > 0) {
        scheduler.prefix_cache = false;
        devices.notes.emplace_back("layers with a constant state: every prompt is computed from its beginning, as engines do unless asked");
    }
    const double n_groups = parallel.ep * parallel.pp;
    scheduler.cost = engine::StepCost([&](const model::StepShape& shape) { return table_seconds(*request, shape, n_groups); },
                                      limits.step_tokens, limits.context);
    if (n_groups > 1) {
        devices.step_seconds = [request](const model::StepShape& shape) { return seconds_of(*request, in_two_rows(shape)); };
    }
    return devices;
}

}  // namespace rafter::planning
