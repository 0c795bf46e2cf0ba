// Roofs are measured when first asked for, so that a filter pays for what it runs. Nothing bounds `roof` to 1: a machine that got faster
// since then shows. Time is the processor's, as in the rest of a row.
#include "roofs.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <string>

#include "base/thread_pool.h"
#include "hardware/profile.h"
#include "probe/probe.h"

namespace rafter::bench {
namespace {

using backend::cpu::Isa;

const hardware::Profile& roofs_of(Isa isa) {
    static std::map<Isa, hardware::Profile> measured;
    if (const auto found = measured.find(isa); found != measured.end()) return found->second;
    ThreadPool pool({.n_threads = 1});
    const auto& profile =
        measured.emplace(isa, probe::probe_roofs(pool, to_string(isa), {.quick = true, .version = ""}).value()).first->second;
    std::string text;
    for (const hardware::BandwidthReading& r : profile.bandwidth) {
        text += fmt::format(", {:.0f} GB/s of {:.0f} KiB", r.best_bytes_per_s / 1e9, r.working_set_bytes / 1024);
    }
    fmt::print(stderr, "Roofs of one thread, {}: {:.0f} G float32 op/s, {:.0f} G {} op/s{}{}\n", to_string(isa),
               profile.float_flop_per_s / 1e9, profile.int8_flop_per_s / 1e9, profile.int8_unit, text,
               profile.trusted ? "" : fmt::format("; not to be trusted: {}", profile.doubt));
    return profile;
}

}  // namespace

void measure(benchmark::State& state, Isa isa, const CallCost& cost, const std::function<void()>& call) {
    const hardware::Profile& roofs = roofs_of(isa);
    const double bandwidth = hardware::best_bandwidth_at(roofs, std::max(cost.read_bytes, cost.working_set_bytes), 1);
    const double peak = cost.unit == Unit::kInt8 ? roofs.int8_flop_per_s : roofs.float_flop_per_s;
    const double roof_seconds = std::max(cost.read_bytes / bandwidth, cost.ops / peak);
    const std::clock_t start = std::clock();
    for (auto _ : state) {
        call();
        benchmark::ClobberMemory();
    }
    const double seconds = static_cast<double>(std::max<std::clock_t>(std::clock() - start, 1)) / CLOCKS_PER_SEC;
    const auto n_calls = static_cast<double>(state.iterations());
    state.SetBytesProcessed(static_cast<std::int64_t>(n_calls * cost.read_bytes));
    if (cost.ops > 0) state.counters["op/s"] = benchmark::Counter(cost.ops, benchmark::Counter::kIsIterationInvariantRate);
    state.counters["roof"] = n_calls * roof_seconds / seconds;
}

}  // namespace rafter::bench
