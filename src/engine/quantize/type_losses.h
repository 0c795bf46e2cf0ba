// What other types lose beside what the probe type predicts. Sensitivities extrapolate from one type by the weights' error; here a few
// matrices together are swapped for each other type, so that its losses are measured once and all of its predictions follow.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/sensitivity.h"

namespace rafter::engine {

struct TypeLoss {
    tensor::DType dtype = tensor::DType::kF16;
    std::size_t n_matrices = 0;  // that were swapped together
    double predicted_kl = 0.0;   // of them, before
    double measured_kl = 0.0;
    double factor = 1.0;  // that predictions of this type were multiplied by: how much more it lost than predicted, beside the probe type
};

// Corrects TypeChoice::kl of all matrices. A type that loses next to nothing keeps its predictions. None: stopped.
[[nodiscard]] Result<std::optional<std::vector<TypeLoss>>> correct_type_losses(const OutputJudge& judge, std::span<MatrixChoices> matrices,
                                                                               const SensitivityOptions& options);

}  // namespace rafter::engine
