// Points from prices and from the lab.
#include "planning/ladder/stand.h"

#include <algorithm>

#include "base/median.h"

namespace rafter::planning {
namespace {

constexpr std::uint32_t kOutputs = 64;  // rows with logits a step: the largest batch

double spread_of(std::vector<double> seconds) {
    if (seconds.size() < 4) return 0.0;
    std::sort(seconds.begin(), seconds.end());
    return (seconds[seconds.size() * 3 / 4] - seconds[seconds.size() / 4]) / median_of(seconds);
}

engine::LabShape shape_of(const Stand::Steps& steps) {
    return {.n_sequences = steps.n_sequences, .n_new = steps.n_new, .n_past = steps.n_context - steps.n_new};
}

}  // namespace

LadderPoint priced_point(const backend::Backend& backend, const model::Program& program, const model::StepShape& step,
                         const hardware::Profile& machine, const roofline::PriceOptions& options) {
    const roofline::StepPrice price = backend.price_step(program, step, machine, options);
    LadderPoint point;
    point.predicted_seconds = price.seconds;
    point.level = price.level;
    double int8_seconds = 0.0;
    double float_seconds = 0.0;
    for (const roofline::OpPrice& op : price.ops) {
        point.flops += op.cost.flops;
        point.bytes += op.cost.read_bytes() + op.cost.kv_written_bytes;
        if (op.peak_flop_per_s <= 0.0) continue;
        (op.arithmetic == roofline::Arithmetic::kInt8 ? int8_seconds : float_seconds) += op.cost.flops / op.peak_flop_per_s;
    }
    // The report's roofs have both names where it is mixed.
    const std::string name = hardware::arithmetic_name(machine, int8_seconds, float_seconds);
    const bool is_mixed = name != machine.int8_unit && name != hardware::kFloatUnit;
    set_roof(point, {.bytes_per_s = price.roof_bytes_per_s,
                     .arithmetic_seconds = int8_seconds + float_seconds,
                     .arithmetic = (is_mixed ? "mixed" : name) + " arithmetic"});
    return point;
}

// Each byte through the memory, each operation through its arithmetic: the longer of the two is the least that a step can take.
void set_roof(LadderPoint& point, const RoofSeconds& roofs) {
    const double reading = point.bytes / roofs.bytes_per_s;
    const double computing = roofs.arithmetic_seconds;
    point.roof_seconds = std::max(reading, computing);
    if (reading >= computing) {
        point.roof = roofline::PriceBound::kMemory;
        point.roof_rate = roofs.bytes_per_s;
        return;
    }
    point.roof = roofline::PriceBound::kCompute;
    point.roof_rate = point.flops / computing;
    point.level = roofs.arithmetic;
}

void add_step(LadderPoint& point, const LadderPoint& step) {
    // The larger step says which roof binds.
    if (step.roof_seconds > point.roof_seconds || point.roof_rate == 0.0) {
        point.roof = step.roof;
        point.roof_rate = step.roof_rate;
        point.level = step.level;
    }
    point.predicted_seconds += step.predicted_seconds;
    point.flops += step.flops;
    point.bytes += step.bytes;
    point.roof_seconds += step.roof_seconds;
}

Stand::Stand(const backend::Backend& backend, engine::LoadedModel loaded, const StandOptions& options)
    : backend_(backend), loaded_(std::move(loaded)), options_(options) {
    lab_ = std::make_unique<engine::StepLab>(loaded_);
}

Result<std::unique_ptr<Stand>> Stand::load(engine::Runtime& runtime, const engine::OpenedModel& opened, const StandOptions& options,
                                           const Stand* weights_of, const std::function<void(double fraction)>& progress) {
    engine::LoadModelOptions load;
    load.context = options.context;
    load.n_sequences = options.n_sequences;
    load.n_outputs = kOutputs;
    load.weights = options.weights;
    load.key_type = options.kv_type;
    load.value_type = options.kv_type;
    load.without_fusions = options.without_fusions;
    load.progress = progress;
    if (weights_of != nullptr) load.weights_of = weights_of->loaded_.device.get();
    RAFTER_TRY(engine::LoadedModel loaded, engine::load_model(runtime, opened, load));
    return std::unique_ptr<Stand>(new Stand(runtime.backend(), std::move(loaded), options));
}

roofline::PriceOptions Stand::price_options() const {
    roofline::PriceOptions options;
    options.cost.kv = loaded_.kv_element_bytes;
    options.key_type = backend::to_string(options_.kv_type);
    options.value_type = options.key_type;
    return options;
}

double Stand::memory_bytes(double n_sequences, double n_context) const {
    const backend::MemoryUse use = loaded_.device->memory();
    const engine::SchedulerOptions& scheduler = loaded_.scheduler;
    const double n_positions = static_cast<double>(std::ranges::max(scheduler.n_blocks)) * scheduler.block_size;
    return static_cast<double>(use.weights_bytes + use.workspace_bytes) +
           static_cast<double>(use.cache_bytes) * std::min(1.0, n_sequences * n_context / n_positions);
}

LadderPoint Stand::price(const Steps& steps, const hardware::Profile& machine) const {
    LadderPoint point;
    for (const model::StepShape& step : shape_of(steps).steps(loaded_.scheduler.limits.n_tokens)) {
        add_step(point, priced_point(backend_, program(), step, machine, price_options()));
    }
    point.tokens = static_cast<double>(steps.n_sequences) * steps.n_new;
    point.n_sequences = steps.n_sequences;
    point.n_context = steps.n_context;
    point.memory_bytes = memory_bytes(steps.n_sequences, steps.n_context);
    return point;
}

double Stand::working_set_bytes(const Steps& steps, const hardware::Profile& machine) const {
    const std::vector<model::StepShape> shapes = shape_of(steps).steps(loaded_.scheduler.limits.n_tokens);
    return backend_.price_step(program(), shapes.back(), machine, price_options()).working_set_bytes;
}

Result<std::vector<double>> Stand::sample(const Steps& steps, const Repeats& repeats) {
    RAFTER_TRY(engine::LabResult result, lab_->run(shape_of(steps), {.n_repeats = repeats.n,
                                                                     .least_seconds = repeats.least_seconds,
                                                                     .timing = false,
                                                                     .scattered_blocks = steps.scattered_blocks}));
    return std::move(result.seconds);
}

void set_measured(LadderPoint& point, std::vector<double> seconds) {
    point.spread = spread_of(seconds);
    point.measured_seconds = engine::LabResult{.seconds = std::move(seconds), .op_seconds = {}}.undisturbed();
}

}  // namespace rafter::planning
