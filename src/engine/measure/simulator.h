// The engine without a model: the same scheduler, with the price of each step as its clock. Tokens are made up; times are what the machine
// that the prices belong to would take. Forced tokens are as they are, so that draft tokens are as right as in the engine.
#pragma once

#include <functional>
#include <memory>

#include "engine/measure/workload.h"
#include "engine/scheduler.h"

namespace rafter::engine {

class SimulatedWorker : public Worker {
  public:
    // options.cost: what a step takes, known; options.clock is ignored. host_seconds: what a step takes around the model. step_seconds:
    // what a step of this shape really takes, where that is more than options.cost can say; empty: as predicted.
    SimulatedWorker(SchedulerOptions options, double host_seconds, std::function<double(const model::StepShape&)> step_seconds = {});
    ~SimulatedWorker() override;

    [[nodiscard]] Result<std::shared_ptr<TokenStream>> submit(Request request) override;
    bool step() override;
    [[nodiscard]] double now() const override { return now_; }
    void wait_until(double seconds) override { now_ = std::max(now_, seconds); }
    [[nodiscard]] const StepReport& last_step() const override { return report_; }
    [[nodiscard]] const Scheduler& scheduler() const override { return *scheduler_; }

  private:
    static void choose(const PlannedSequence& planned, Accepted& accepted);

    double now_ = 0.0;
    double host_seconds_;
    std::function<double(const model::StepShape&)> step_seconds_;
    std::uint32_t context_;
    std::unique_ptr<text::Tokenizer> tokenizer_;
    std::unique_ptr<Scheduler> scheduler_;
    std::vector<Accepted> accepted_;  // kept for its memory
    StepReport report_;
};

}  // namespace rafter::engine
