// A machine profile's readings become one row of rates.
#include "planning/this_machine.h"

#include <algorithm>

namespace rafter::planning {
namespace {

constexpr double kManyColumns = 64.0;  // tokens that share a weight, as in a prefill

double working_set(const roofline::PlannedModel& model) { return roofline::weight_bytes(model.fused, model.native.cost_options()); }

// Of the type that most of the weights have.
std::optional<double> reached_flop_per_s(const hardware::Profile& profile, const roofline::PlannedModel& model) {
    const roofline::CountedWeight* largest = nullptr;
    double most = 0.0;
    for (const roofline::CountedWeight& w : model.fused.weights) {
        const double n = double{1} * w.weight.n_experts * w.weight.n_rows * w.weight.n_cols * w.count;
        if (w.multiplied && n > most) {
            largest = &w;
            most = n;
        }
    }
    if (largest == nullptr) return std::nullopt;
    for (const char* activations : {"q8", "f32"}) {
        const auto seconds = hardware::matrix_seconds(profile, largest->weight.dtype, activations, kManyColumns, false);
        if (seconds && *seconds > 0) return 2 * kManyColumns / *seconds;
    }
    return std::nullopt;
}

}  // namespace

hardware::Hardware this_machine(const hardware::Profile& profile, const roofline::PlannedModel& model) {
    hardware::Hardware h{.name = "this", .description = profile.key.cpu};
    h.peak(hardware::Precision::kFp32) = profile.float_flop_per_s;
    h.peak(hardware::Precision::kInt8) = profile.int8_flop_per_s;
    h.unit(hardware::Precision::kFp32) = hardware::kFloatUnit;
    h.unit(hardware::Precision::kInt8) = profile.int8_unit;
    h.memory_bytes = profile.memory_bytes;
    h.memory_bandwidth_bytes_per_s = hardware::best_bandwidth_at(profile, working_set(model), profile.key.n_threads);
    double cache = 0.0;
    for (const hardware::ProfileCache& c : profile.caches) cache = std::max(cache, c.size_bytes);
    if (cache > 0) h.on_chip_bytes = cache;
    return h;
}

roofline::Efficiency this_efficiency(const hardware::Profile& profile, const roofline::PlannedModel& model) {
    roofline::Efficiency e{.name = "as measured here"};
    const double best = hardware::best_bandwidth_at(profile, working_set(model), profile.key.n_threads);
    const double usual = hardware::bandwidth_at(profile, working_set(model), profile.key.n_threads);
    if (best > 0 && usual > 0) e.bandwidth_fraction = std::min(1.0, usual / best);
    const auto reached = reached_flop_per_s(profile, model);
    if (reached && profile.int8_flop_per_s > 0) e.flop_fraction = std::clamp(*reached / profile.int8_flop_per_s, 1e-3, 1.0);
    e.seconds_per_op = profile.handover_seconds;
    e.seconds_per_step = profile.fork_join_seconds;
    return e;
}

}  // namespace rafter::planning
