// A choice of types held against the truth: losses of single matrices add up only nearly, and what a kind of matrix loses may be taken for
// too much or too little. Each trial takes one kind for more or less, chooses anew for the same budget, and measures the whole.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/sensitivity.h"

namespace rafter::engine {

struct RepairTrial {
    std::string kind;           // "ffn_down", "the first third of the layers"
    double factor = 1.0;        // by which its losses were multiplied
    std::size_t n_changed = 0;  // matrices of another type than before
    double kl = 0.0;            // measured
    bool is_kept = false;       // it lost less than the best before
};
struct Repair {
    Allocation chosen;       // sums as predicted
    DivergenceSummary loss;  // measured
    double first_kl = 0.0;   // measured, before any trial
    std::vector<RepairTrial> trials;
};
struct RepairOptions {
    std::size_t n_trials = 12;  // at most; 0: the choice is measured, and stays
    // The best choice for the budget.
    std::function<Result<Allocation>(std::span<const MatrixChoices>)> allocate;
    std::function<void(std::size_t n_done, std::size_t n_all)> progress;  // may be empty
    std::function<bool()> is_stopped;                                     // may be empty
};
// None: stopped.
[[nodiscard]] Result<std::optional<Repair>> repair(const OutputJudge& judge, std::span<const MatrixChoices> matrices,
                                                   const RepairOptions& options);

}  // namespace rafter::engine
