// Masks of a step, computed while the model computes the step's logits: which tokens may come depends on the tokens before them alone.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/plan.h"

namespace rafter::engine {

// A thread of its own, from the first masked step on. What it has not begun when the logits are there is left to the samplers, so that no
// step waits for more than one mask; where no thread can be had, so is everything. One thread calls it, the engine's.
class MaskAhead {
  public:
    // n_logits: of the model.
    explicit MaskAhead(std::size_t n_logits) : n_logits_(n_logits) {}
    ~MaskAhead();
    MaskAhead(const MaskAhead&) = delete;
    MaskAhead& operator=(const MaskAhead&) = delete;

    // From its beginning to its end, nobody else uses the samplers of the plan's masked sequences; the plan stays as it is.
    class Work {
      public:
        Work(MaskAhead& ahead, const Plan& plan) : ahead_(ahead) { ahead_.begin(plan); }
        ~Work() { ahead_.end(); }
        Work(const Work&) = delete;
        Work& operator=(const Work&) = delete;

      private:
        MaskAhead& ahead_;
    };

  private:
    void begin(const Plan& plan);
    void end();
    void run();
    [[nodiscard]] bool has_thread();

    const std::size_t n_logits_;
    std::thread thread_;
    std::mutex mutex_;  // for what follows
    std::condition_variable changed_;
    std::vector<const PlannedSequence*> waiting_;  // the last comes first
    bool computes_ = false;
    bool stops_ = false;
};

}  // namespace rafter::engine
