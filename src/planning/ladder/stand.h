// A model as it is loaded for one or more rungs, and steps measured on it, each beside its price.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/loading/loaded_model.h"
#include "engine/measure/step_lab.h"
#include "hardware/profile.h"
#include "planning/ladder/ladder.h"

namespace rafter::planning {

struct StandOptions {
    std::optional<tensor::DType> weights;  // none: the file's
    model::Without without_fusions;
    backend::KvType kv_type = backend::KvType::kF16;
    std::uint32_t context = 0;      // positions of a sequence at most
    std::uint32_t n_sequences = 1;  // at full context
};

// What a step costs, as a point without a measurement.
[[nodiscard]] LadderPoint priced_point(const backend::Backend& backend, const model::Program& program, const model::StepShape& step,
                                       const hardware::Profile& machine, const roofline::PriceOptions& options);
struct RoofSeconds {
    double bytes_per_s = 0.0;         // where the step's data lies
    double arithmetic_seconds = 0.0;  // each operation at the peak of its kind
    std::string arithmetic;           // "VNNI int8 arithmetic"
};
void set_roof(LadderPoint& point, const RoofSeconds& roofs);
// Steps of another shape that belong to the same point: sums.
void add_step(LadderPoint& point, const LadderPoint& step);

// The point becomes a measured one.
void set_measured(LadderPoint& point, std::vector<double> seconds);

class Stand {
  public:
    // weights_of: a stand of the same weights, which are then shared; null: they are packed anew. runtime and opened outlive this.
    [[nodiscard]] static Result<std::unique_ptr<Stand>> load(engine::Runtime& runtime, const engine::OpenedModel& opened,
                                                             const StandOptions& options, const Stand* weights_of,
                                                             const std::function<void(double fraction)>& progress);

    // n_sequences that compute n_new tokens each, the last of which sees n_context positions.
    struct Steps {
        std::uint32_t n_sequences = 1;
        std::uint32_t n_new = 1;
        std::uint32_t n_context = 1;
        bool scattered_blocks = false;
    };
    // Priced, and not measured.
    [[nodiscard]] LadderPoint price(const Steps& steps, const hardware::Profile& machine) const;
    [[nodiscard]] double working_set_bytes(const Steps& steps, const hardware::Profile& machine) const;
    // Seconds of each repeat: n of them, and more until least_seconds have passed.
    struct Repeats {
        std::uint32_t n = 5;
        double least_seconds = 0.3;
    };
    [[nodiscard]] Result<std::vector<double>> sample(const Steps& steps, const Repeats& repeats);

    [[nodiscard]] engine::LoadedModel& loaded() { return loaded_; }
    [[nodiscard]] const backend::Backend& backend() const { return backend_; }
    [[nodiscard]] const model::Program& program() const { return loaded_.device->program(); }
    [[nodiscard]] roofline::PriceOptions price_options() const;
    // Weights, workspace, and the part of the cache that so many sequences use.
    [[nodiscard]] double memory_bytes(double n_sequences, double n_context) const;

  private:
    Stand(const backend::Backend& backend, engine::LoadedModel loaded, const StandOptions& options);

    const backend::Backend& backend_;
    engine::LoadedModel loaded_;
    StandOptions options_;
    std::unique_ptr<engine::StepLab> lab_;
};

}  // namespace rafter::planning
