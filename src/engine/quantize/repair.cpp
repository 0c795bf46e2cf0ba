// Kinds are the parts of a layer and thirds of the layers, those with the largest predicted loss first.
#include "engine/quantize/repair.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace rafter::engine {
namespace {

constexpr double kFactor = 1.6;
// What a trial must lose less than the best before it: less would be chance on the text.
constexpr double kLeastGain = 0.005;

struct MatrixKind {
    std::string name;
    std::vector<std::size_t> matrices;
    double kl = 0.0;
};

std::optional<std::size_t> layer_number(std::string_view name) {
    if (!name.starts_with("blk.")) return std::nullopt;
    std::size_t layer = 0;
    const char* const begin = name.data() + 4;
    const auto [end, failed] = std::from_chars(begin, name.data() + name.size(), layer);
    if (failed != std::errc() || end == begin) return std::nullopt;
    return layer;
}

// "blk.3.ffn_down.weight": "ffn_down".
std::string part_name(std::string_view name) {
    if (name.ends_with(".weight")) name.remove_suffix(7);
    if (layer_number(name)) name.remove_prefix(name.find('.', 4) + 1);
    return std::string(name);
}

std::vector<MatrixKind> kinds_of(std::span<const MatrixChoices> matrices, const Allocation& chosen) {
    std::size_t n_layers = 0;
    for (const MatrixChoices& matrix : matrices) n_layers = std::max(n_layers, layer_number(matrix.tensor).value_or(0) + 1);
    std::map<std::string, MatrixKind> kinds;
    constexpr const char* kThirds[] = {"the first third of the layers", "the middle third of the layers", "the last third of the layers"};
    for (std::size_t m = 0; m < matrices.size(); ++m) {
        std::vector<std::string> names = {part_name(matrices[m].tensor)};
        if (const auto layer = layer_number(matrices[m].tensor)) names.emplace_back(kThirds[3 * *layer / n_layers]);
        for (const std::string& name : names) {
            MatrixKind& kind = kinds[name];
            kind.name = name;
            kind.matrices.push_back(m);
            kind.kl += matrices[m].types[chosen.chosen[m]].kl;
        }
    }
    std::vector<MatrixKind> sorted;
    for (auto& [name, kind] : kinds) {
        if (kind.matrices.size() < matrices.size()) sorted.push_back(std::move(kind));  // all of them: nothing would change
    }
    std::ranges::stable_sort(sorted, std::ranges::greater(), &MatrixKind::kl);
    return sorted;
}

TensorTypes types_of_choice(std::span<const MatrixChoices> matrices, const std::vector<std::size_t>& chosen) {
    TensorTypes types;
    for (std::size_t m = 0; m < matrices.size(); ++m) types[matrices[m].tensor] = matrices[m].types[chosen[m]].dtype;
    return types;
}

std::vector<MatrixChoices> scaled(std::span<const MatrixChoices> matrices, const MatrixKind& kind, double factor) {
    std::vector<MatrixChoices> other(matrices.begin(), matrices.end());
    for (const std::size_t m : kind.matrices) {
        for (TypeChoice& choice : other[m].types) choice.kl *= factor;
    }
    return other;
}

}  // namespace

Result<std::optional<Repair>> repair(const OutputJudge& judge, std::span<const MatrixChoices> matrices, const RepairOptions& options) {
    Repair result;
    RAFTER_TRY(result.chosen, options.allocate(matrices));
    RAFTER_TRY(result.loss, judge.judge(types_of_choice(matrices, result.chosen.chosen)));
    result.first_kl = result.loss.mean_kl;
    std::vector<MatrixChoices> taken(matrices.begin(), matrices.end());  // losses with the factors that were kept
    for (const MatrixKind& kind : kinds_of(matrices, result.chosen)) {
        for (const double factor : {kFactor, 1.0 / kFactor}) {
            if (result.trials.size() >= options.n_trials) break;
            if (options.is_stopped && options.is_stopped()) return std::optional<Repair>();
            std::vector<MatrixChoices> other = scaled(taken, kind, factor);
            RAFTER_TRY(const Allocation found, options.allocate(other));
            RepairTrial trial{.kind = kind.name, .factor = factor};
            for (std::size_t m = 0; m < matrices.size(); ++m) trial.n_changed += found.chosen[m] != result.chosen.chosen[m] ? 1U : 0U;
            if (trial.n_changed == 0) continue;
            if (options.progress) options.progress(result.trials.size(), options.n_trials);
            RAFTER_TRY(const DivergenceSummary loss, judge.judge(types_of_choice(matrices, found.chosen)));
            trial.kl = loss.mean_kl;
            trial.is_kept = loss.mean_kl < (1.0 - kLeastGain) * result.loss.mean_kl;
            const bool is_kept = trial.is_kept;
            result.trials.push_back(std::move(trial));
            if (!is_kept) continue;
            result.chosen = allocation_of(matrices, found.chosen);
            result.loss = loss;
            taken = std::move(other);
            break;  // the other way would undo it
        }
    }
    return std::optional(std::move(result));
}

}  // namespace rafter::engine
