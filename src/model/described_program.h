// A described model's list of operations. Where a model has shapes, each layer is emitted from its own; plain ones are the list that
// build() gives, so that what is planned from dimensions is what the engine would run.
#pragma once

#include <vector>

#include "model/described.h"
#include "model/program.h"

namespace rafter::model {

struct DescribedProgram {
    Program program;
    std::vector<double> stored_bits;  // an element of each weight, by WeightId; empty: all have the model's weight_bits
};

// The first n_layers of its listed layers.
[[nodiscard]] DescribedProgram build_described(const DescribedModel& model, std::uint32_t n_layers);

}  // namespace rafter::model
