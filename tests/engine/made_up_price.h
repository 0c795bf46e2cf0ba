// Prices of steps for a machine that is nowhere.
#pragma once

#include <algorithm>

#include "model/step_shape.h"

namespace rafter::engine::tests {

// A step: 1 ms, and 1 ms a token from the 9th on; looking back 1,000 tokens takes another.
inline double made_up_price(const model::StepShape& shape) {
    double seconds = 1e-3 + 1e-3 * std::max(0.0, shape.n_tokens() - 8.0);
    for (const model::SequenceStep& s : shape.sequences) seconds += 1e-6 * s.n_new * s.n_past;
    return seconds;
}

}  // namespace rafter::engine::tests
