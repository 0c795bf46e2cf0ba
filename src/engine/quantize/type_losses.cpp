// The same matrices are swapped for the probe type too: what they lose together beside the sum of what each loses alone is no matter of
// types.
#include "engine/quantize/type_losses.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace rafter::engine {
namespace {

// Enough kinds of matrices, and few enough for their loss to be a small one.
constexpr std::size_t kMaxSwapped = 12;
// Beyond this factor the measurement says more of chance than of the type.
constexpr double kMaxFactor = 4.0;
// Nats: what rounding in the forward pass could be taken for.
constexpr double kLeastKl = 1e-7;

const TypeChoice* choice_of(const MatrixChoices& matrix, tensor::DType type) {
    const auto found = std::ranges::find(matrix.types, type, &TypeChoice::dtype);
    return found == matrix.types.end() ? nullptr : &*found;
}

// Evenly over the model, of those that have both types.
std::vector<const MatrixChoices*> swapped_for(std::span<const MatrixChoices> matrices, tensor::DType type) {
    std::vector<const MatrixChoices*> all;
    for (const MatrixChoices& matrix : matrices) {
        if (choice_of(matrix, type) != nullptr && choice_of(matrix, kProbeType) != nullptr) all.push_back(&matrix);
    }
    const std::size_t n = std::min(kMaxSwapped, all.size());
    std::vector<const MatrixChoices*> few;
    for (std::size_t i = 0; i < n; ++i) few.push_back(all[i * all.size() / n]);
    return few;
}

TypeLoss predicted(std::span<const MatrixChoices* const> few, tensor::DType type) {
    TypeLoss loss{.dtype = type, .n_matrices = few.size()};
    for (const MatrixChoices* const matrix : few) loss.predicted_kl += choice_of(*matrix, type)->kl;
    return loss;
}

Result<TypeLoss> measured(const OutputJudge& judge, std::span<const MatrixChoices* const> few, tensor::DType type) {
    TypeLoss loss = predicted(few, type);
    TensorTypes types;
    for (const MatrixChoices* const matrix : few) types[matrix->tensor] = type;
    RAFTER_TRY(const DivergenceSummary swapped, judge.judge(types));
    loss.measured_kl = swapped.mean_kl;
    return loss;
}

}  // namespace

Result<std::optional<std::vector<TypeLoss>>> correct_type_losses(const OutputJudge& judge, std::span<MatrixChoices> matrices,
                                                                 const SensitivityOptions& options) {
    std::set<tensor::DType> types;
    for (const MatrixChoices& matrix : matrices) {
        for (const TypeChoice& choice : matrix.types) types.insert(choice.dtype);
    }
    types.erase(kProbeType);
    std::map<std::vector<const MatrixChoices*>, TypeLoss> probes;  // of the same matrices
    std::vector<TypeLoss> losses;
    std::size_t n_done = 0;
    for (const tensor::DType type : types) {
        if (options.is_stopped && options.is_stopped()) return std::optional<std::vector<TypeLoss>>();
        if (options.progress) options.progress(n_done++, types.size());
        const std::vector<const MatrixChoices*> few = swapped_for(matrices, type);
        if (few.empty() || predicted(few, type).predicted_kl < kLeastKl) continue;
        if (!probes.contains(few)) {
            RAFTER_TRY(probes[few], measured(judge, few, kProbeType));
        }
        const TypeLoss& probe = probes[few];
        if (!(probe.measured_kl > kLeastKl) || !(probe.predicted_kl > 0.0)) continue;
        RAFTER_TRY(TypeLoss loss, measured(judge, few, type));
        const double together = probe.measured_kl / probe.predicted_kl;
        loss.factor = std::clamp(loss.measured_kl / loss.predicted_kl / together, 1.0 / kMaxFactor, kMaxFactor);
        losses.push_back(loss);
    }
    for (MatrixChoices& matrix : matrices) {
        for (TypeChoice& choice : matrix.types) {
            const auto loss = std::ranges::find(losses, choice.dtype, &TypeLoss::dtype);
            if (loss != losses.end()) choice.kl *= loss->factor;
        }
    }
    return std::optional(std::move(losses));
}

}  // namespace rafter::engine
