// Steps as they were measured, op by op, beside what each op should have taken: row i of the prediction, of the execution and of the
// measurement is the same op of the same list.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "engine/engine.h"
#include "engine/measure/step_lab.h"
#include "hardware/profile.h"
#include "roofline/op_price.h"

namespace rafter::engine {

// Sums over the steps of a phase.
struct OpProfile {
    std::size_t op = 0;  // of the program
    double predicted_seconds = 0.0;
    double measured_seconds = 0.0;
    double roof_seconds = 0.0;
    double overhead_seconds = 0.0;  // of the predicted
    roofline::OpCost cost;
    roofline::PriceBound bound = roofline::PriceBound::kMemory;  // of the last step
    roofline::Arithmetic arithmetic = roofline::Arithmetic::kFloat;
};
struct PhaseProfile {
    std::string phase;  // "prefill", "decode"
    std::size_t n_steps = 0;
    double n_tokens = 0.0;
    double step_seconds = 0.0;       // all of the engine's step
    double forward_seconds = 0.0;    // of it, in the model
    double sample_seconds = 0.0;     // of the rest, choosing tokens
    double predicted_seconds = 0.0;  // of the model
    double fixed_seconds = 0.0;      // of the predicted: beginning and ending a step
    double read_bytes = 0.0;         // weights and KV cache
    double roof_bytes_per_s = 0.0;   // of the last step's working set, at best
    std::string level;               // where that lies
    std::string int8_unit;           // what has the int8 peak
    bool complete = true;            // every op's kernel had a reading
    std::vector<OpProfile> ops;      // [n_ops]

    [[nodiscard]] double op_seconds() const;
    // Adds a step's price, op by op, and what the step reads.
    void add(const roofline::StepPrice& price);
};

// While one of these lives, the model times its ops: one look at the clock an op. Pricing waits for the report.
class StepProfiler {
  public:
    // model outlives this.
    explicit StepProfiler(backend::DeviceModel& model);
    ~StepProfiler();
    StepProfiler(const StepProfiler&) = delete;
    StepProfiler& operator=(const StepProfiler&) = delete;

    // After each step of the engine; a step without work is passed over. Beyond kMaxSteps nothing is kept.
    void record(const StepReport& step);

    struct Record {
        StepReport step;
        std::int64_t start_ns = 0;
        std::vector<double> op_seconds;  // [n_ops]
    };
    static constexpr std::size_t kMaxSteps = 8192;
    [[nodiscard]] const std::vector<Record>& records() const { return records_; }
    [[nodiscard]] std::size_t n_dropped() const { return n_dropped_; }

    // Phases that had a step, priced by the backend that the model runs on. In a step of the phase "decode" every sequence has a past, one
    // new token, and perhaps draft tokens.
    [[nodiscard]] std::vector<PhaseProfile> phases(const backend::Backend& backend, const hardware::Profile& profile,
                                                   const roofline::PriceOptions& options) const;

  private:
    backend::DeviceModel& model_;
    std::vector<Record> records_;
    std::size_t n_dropped_ = 0;
};

[[nodiscard]] bool is_decode(const model::StepShape& shape);

// One repeat of a shape that StepLab measured with timing, beside its price. n_step_tokens: the most tokens of one step, as for the lab.
[[nodiscard]] PhaseProfile profile_of(const backend::Backend& backend, const LabShape& shape, const LabResult& measured,
                                      std::uint32_t n_step_tokens, const model::Program& program, const hardware::Profile& machine,
                                      const roofline::PriceOptions& options);

}  // namespace rafter::engine
