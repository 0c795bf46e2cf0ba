// Turns a plan into a batch (tokens, positions, block tables) and runs the model on it.
#pragma once

#include "backend/backend.h"
#include "engine/plan.h"

namespace rafter::engine {

class Runner {
  public:
    // model outlives this.
    explicit Runner(backend::DeviceModel& model) : model_(model) {}

    // Outputs come in the plan's order: first those of its first sequence. Valid until the next call.
    [[nodiscard]] backend::StepOutput forward(const Plan& plan);
    [[nodiscard]] const backend::Batch& batch() const { return batch_; }  // the last one

  private:
    backend::DeviceModel& model_;
    backend::Batch batch_;  // kept, so that a step reuses its memory
};

}  // namespace rafter::engine
