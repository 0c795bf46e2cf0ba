// Steps of a chosen shape, run for their time alone: so many sequences, so many new tokens each, so long a past. Tokens are made up, and
// the past is whatever lies in the cache: time follows from shapes and bytes, not from what they mean.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/loading/loaded_model.h"
#include "model/step_shape.h"

namespace rafter::engine {

struct LabShape {
    std::uint32_t n_sequences = 1;
    std::uint32_t n_new = 1;
    std::uint32_t n_past = 0;

    // A long prompt's steps one after the other, each of at most so many tokens; one shape where it fits.
    [[nodiscard]] std::vector<model::StepShape> steps(std::uint32_t most_tokens) const;
};

struct LabResult {
    std::vector<double> seconds;     // [n_repeats]: of all steps of the shape
    std::vector<double> op_seconds;  // [n_ops] of that one of the repeats which took as long as undisturbed(); empty without timing

    // Nine repeats in ten take longer: what the shape takes when nothing else uses the machine.
    [[nodiscard]] double undisturbed() const;
};

class StepLab {
  public:
    // The cache's memory is taken at once, so that no step pays for its first use. model outlives this.
    explicit StepLab(LoadedModel& model);

    // Fails when the shape does not fit into the context or cache that the model was loaded with.
    struct Options {
        std::uint32_t n_repeats = 5;
        double least_seconds = 0.0;     // go on repeating until so much time is spent
        bool timing = true;             // op by op
        bool scattered_blocks = false;  // the sequences' blocks lie in an order of no pattern, as after a day of requests
    };
    [[nodiscard]] Result<LabResult> run(const LabShape& shape, const Options& options);

  private:
    [[nodiscard]] backend::Batch batch_of(const model::StepShape& shape, bool scattered_blocks) const;

    LoadedModel& model_;
};

}  // namespace rafter::engine
