// How long a step takes, cheap enough to ask many times a step: a table over its tokens, another over those that need logits, and what each
// token adds for each one that it looks back at. The tables come from the roofline's prices; what steps then really take corrects them: all
// of them by one factor, and steps of few tokens, where kernels change with their number, each number and its neighbours by another.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "hardware/profile.h"
#include "model/program.h"
#include "model/step_shape.h"
#include "roofline/op_price.h"

namespace rafter::engine {

class StepCost {
  public:
    // Knows nothing: every step takes 0 seconds.
    StepCost() { few_corrections_.fill(1.0); }
    // price: seconds of a step of this shape. Asked some two hundred times, with at most n_tokens tokens a step and `context` behind them.
    StepCost(const std::function<double(const model::StepShape&)>& price, std::uint32_t n_tokens, std::uint32_t context);
    // By the profile of the machine that it runs on; program: bound and rewritten for the backend.
    StepCost(const backend::Backend& backend, const model::Program& program, const hardware::Profile& machine,
             const roofline::PriceOptions& options, std::uint32_t n_tokens, std::uint32_t context);

    [[nodiscard]] bool known() const { return !by_tokens_.empty(); }
    [[nodiscard]] double seconds(const model::StepShape& shape) const;

    // The same price sequence by sequence, for a caller that puts a step together.
    struct Sum {
        std::uint32_t n_tokens = 0;
        std::uint32_t n_outputs = 0;
        double attention_seconds = 0.0;
    };
    void add(Sum& sum, const model::SequenceStep& sequence) const;
    [[nodiscard]] double seconds(const Sum& sum) const;
    // Measured over predicted time of a step of n_tokens, learned from past steps. seconds() applies it already.
    [[nodiscard]] double correction(std::uint32_t n_tokens) const;

    // Computing n tokens after n_past others, in steps as large as they may be.
    [[nodiscard]] double prefill_seconds(std::uint32_t n, std::uint32_t n_past) const;

    // Between two tokens, where nothing is said: prompts beside a decoding sequence may cost it some steps of its own; and a step of all
    // n_sequences together may take twice as long for them.
    [[nodiscard]] double usual_itl_seconds(std::uint32_t context, std::uint32_t n_sequences) const;

    // A step took this long. Predictions follow slowly, so that one disturbed step changes little: however long it took, 10% at most.
    void learn(const model::StepShape& shape, double measured_seconds);
    [[nodiscard]] double correction() const { return correction_; }
    // Steps are known to take `factor` times what the prices say.
    void scale(double factor) { correction_ *= factor; }

  private:
    static constexpr std::uint32_t kFewTokens = 64;
    using Table = std::vector<std::pair<double, double>>;  // how many, ascending; seconds
    [[nodiscard]] static double look_up(const Table& table, double n);

    Table by_tokens_;                    // without a past, one of them with logits
    Table by_outputs_;                   // the same for logits of more than one
    double decode_pair_seconds_ = 0.0;   // a single new token and one that it looks back at
    double shared_pair_seconds_ = 0.0;   // the same where an earlier sequence of the step has read that one's keys and values
    double prefill_pair_seconds_ = 0.0;  // the same within many
    double correction_ = 1.0;
    std::array<double, kFewTokens> few_corrections_;  // of steps of 1, 2, ... tokens, on top of that; 1 at first
    std::uint32_t n_tokens_ = 0;
};

}  // namespace rafter::engine
