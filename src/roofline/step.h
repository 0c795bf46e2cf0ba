// The shape of a step as the roofline takes it: like model::StepShape, but alike sequences are one row and numbers are doubles, so that a
// batch of a million sequences of a billion tokens is as cheap to price as one of one.
#pragma once

#include <vector>

#include "model/step_shape.h"

namespace rafter::roofline {

struct StepRows {
    double n_sequences = 1.0;  // that are like this
    double n_new = 0.0;        // tokens computed in this step
    double n_past = 0.0;       // tokens whose keys and values are in the cache already
    double n_outputs = 0.0;    // of the new tokens, how many need logits
    double n_shared = 0.0;     // of the past, from its beginning: read for an earlier sequence of the step already
    double n_hidden = 0.0;     // of the new tokens, how many more need their last hidden state, without logits
};

struct Step {
    std::vector<StepRows> rows;

    Step() = default;
    explicit Step(std::vector<StepRows> r) : rows(std::move(r)) {}
    Step(const model::StepShape& shape) {  // NOLINT(google-explicit-constructor): the same thing, said otherwise
        for (const model::SequenceStep& s : shape.sequences) {
            rows.push_back({1.0, static_cast<double>(s.n_new), static_cast<double>(s.n_past), static_cast<double>(s.n_outputs),
                            static_cast<double>(s.n_shared), static_cast<double>(s.n_hidden)});
        }
    }

    [[nodiscard]] double n_sequences() const {
        double n = 0.0;
        for (const StepRows& r : rows) n += r.n_sequences;
        return n;
    }
    [[nodiscard]] double n_tokens() const {
        double n = 0.0;
        for (const StepRows& r : rows) n += r.n_sequences * r.n_new;
        return n;
    }
    [[nodiscard]] double n_outputs() const {
        double n = 0.0;
        for (const StepRows& r : rows) n += r.n_sequences * r.n_outputs;
        return n;
    }
    [[nodiscard]] double n_hidden() const {
        double n = 0.0;
        for (const StepRows& r : rows) n += r.n_sequences * r.n_hidden;
        return n;
    }
};

// n sequences that decode one token each (or verify n_new - 1 drafts) and see n_context positions with their last new one.
[[nodiscard]] inline Step decode_step(double n_sequences, double n_context, double n_new = 1.0) {
    return Step({{n_sequences, n_new, n_context > n_new ? n_context - n_new : 0.0, n_new}});
}
// n sequences whose n_prompt tokens are computed but for the first n_cached; the last one's logits are wanted.
[[nodiscard]] inline Step prefill_step(double n_sequences, double n_prompt, double n_cached = 0.0) {
    return Step({{n_sequences, n_prompt - n_cached, n_cached, 1.0}});
}

}  // namespace rafter::roofline
