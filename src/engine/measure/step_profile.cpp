// Recording copies a few hundred numbers a step; everything else happens when somebody asks.
#include "engine/measure/step_profile.h"

#include <algorithm>
#include <array>

#include "base/clock.h"

namespace rafter::engine {

bool is_decode(const model::StepShape& shape) {
    return std::all_of(shape.sequences.begin(), shape.sequences.end(),
                       [](const model::SequenceStep& s) { return s.n_new == s.n_outputs && s.n_past > 0; });
}

double PhaseProfile::op_seconds() const {
    double sum = 0.0;
    for (const OpProfile& op : ops) sum += op.measured_seconds;
    return sum;
}

void PhaseProfile::add(const roofline::StepPrice& price) {
    ops.resize(price.ops.size());
    for (std::size_t i = 0; i < price.ops.size(); ++i) {
        OpProfile& op = ops[i];
        op.op = i;
        op.predicted_seconds += price.ops[i].seconds;
        op.roof_seconds += price.ops[i].roof_seconds;
        op.overhead_seconds += price.ops[i].overhead_seconds;
        op.cost += price.ops[i].cost;
        op.bound = price.ops[i].bound;
        op.arithmetic = price.ops[i].arithmetic;
        read_bytes += price.ops[i].cost.read_bytes();
    }
    predicted_seconds += price.seconds;
    fixed_seconds += price.fixed_seconds;
    roof_bytes_per_s = price.roof_bytes_per_s;
    level = price.level;
    int8_unit = price.int8_unit;
    complete = complete && price.complete;
}

PhaseProfile profile_of(const backend::Backend& backend, const LabShape& shape, const LabResult& measured, std::uint32_t n_step_tokens,
                        const model::Program& program, const hardware::Profile& machine, const roofline::PriceOptions& options) {
    PhaseProfile phase;
    phase.phase = shape.n_new > 1 || shape.n_past == 0 ? "prefill" : "decode";
    phase.n_steps = 1;
    phase.n_tokens = static_cast<double>(shape.n_sequences) * shape.n_new;
    phase.forward_seconds = measured.undisturbed();
    phase.step_seconds = phase.forward_seconds;
    for (const model::StepShape& step : shape.steps(n_step_tokens)) phase.add(backend.price_step(program, step, machine, options));
    for (std::size_t i = 0; i < phase.ops.size(); ++i) phase.ops[i].measured_seconds = measured.op_seconds[i];
    return phase;
}

StepProfiler::StepProfiler(backend::DeviceModel& model) : model_(model) { model_.set_timing(true); }
StepProfiler::~StepProfiler() { model_.set_timing(false); }

void StepProfiler::record(const StepReport& step) {
    if (step.shape.n_tokens() == 0) return;
    if (records_.size() >= kMaxSteps) {
        ++n_dropped_;
        return;
    }
    const auto seconds = model_.op_seconds();
    records_.push_back({.step = step,
                        .start_ns = monotonic_ns() - static_cast<std::int64_t>(step.step_seconds * 1e9),
                        .op_seconds = {seconds.begin(), seconds.end()}});
}

std::vector<PhaseProfile> StepProfiler::phases(const backend::Backend& backend, const hardware::Profile& profile,
                                               const roofline::PriceOptions& options) const {
    const model::Program& program = model_.program();
    std::array<PhaseProfile, 2> phases;
    phases[0].phase = "prefill";
    phases[1].phase = "decode";
    for (const Record& record : records_) {
        PhaseProfile& phase = phases[is_decode(record.step.shape) ? 1 : 0];
        const roofline::StepPrice price = backend.price_step(program, record.step.shape, profile, options);
        phase.add(price);
        for (std::size_t i = 0; i < record.op_seconds.size(); ++i) phase.ops[i].measured_seconds += record.op_seconds[i];
        ++phase.n_steps;
        phase.n_tokens += &phase == &phases[1] ? record.step.n_chosen : record.step.shape.n_tokens();
        phase.step_seconds += record.step.step_seconds;
        phase.forward_seconds += record.step.forward_seconds;
        phase.sample_seconds += record.step.sample_seconds;
    }
    std::vector<PhaseProfile> found;
    for (PhaseProfile& phase : phases) {
        if (phase.n_steps > 0) found.push_back(std::move(phase));
    }
    return found;
}

}  // namespace rafter::engine
