// What each matrix of a model loses in each type, as the model's output sees it. Each matrix is swapped alone for its encoded self once,
// and the KL divergence of the logits measured; other types are priced from it by their weighted errors, as a small divergence grows with
// the square of what is wrong with the weights.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/loading/loaded_model.h"
#include "engine/measure/divergence.h"
#include "engine/quantize/allocation.h"
#include "engine/quantize/mixes.h"
#include "files/imatrix_file.h"

namespace rafter::engine {

// That each matrix is swapped for alone: all rows have blocks of this type, and its error is large enough to be seen and small enough to be
// a small one.
inline constexpr tensor::DType kProbeType = tensor::DType::kQ4_0;

struct SensitivityOptions {
    std::vector<std::vector<TokenId>> windows;                            // of the calibration text, one at least, all of one length
    const files::ImportanceMatrix* importance = nullptr;                  // null: all columns count the same
    std::function<void(std::size_t n_done, std::size_t n_all)> progress;  // may be empty
    std::function<bool()> is_stopped;                                     // may be empty
};

// The model as its file has it, and what others of its kind say on the same text.
class OutputJudge {
  public:
    // Computes the reference's logits and keeps them. runtime and opened outlive this.
    [[nodiscard]] static Result<OutputJudge> create(Runtime& runtime, const OpenedModel& opened, const SensitivityOptions& options);
    // Of the model with these types in place of its file's; each is encoded by searching.
    [[nodiscard]] Result<DivergenceSummary> judge(const TensorTypes& types) const;

  private:
    OutputJudge(Runtime& runtime, const OpenedModel& opened, const SensitivityOptions& options)
        : runtime_(&runtime), opened_(&opened), options_(&options) {}
    [[nodiscard]] Result<LoadedModel> load(const OpenedModel& opened) const;

    Runtime* runtime_;
    const OpenedModel* opened_;
    const SensitivityOptions* options_;
    std::vector<float> reference_;  // [windows, scored positions, n_vocab]
};

// Every matrix that quantising changes, in the file's order, with the types it may have and their bytes. fixed: matrices that have one type
// only, whatever it costs.
[[nodiscard]] std::vector<MatrixChoices> choices_of(const files::TensorSource& source, const TensorTypes& fixed);
// Sets the errors and losses of these choices. False: stopped.
[[nodiscard]] Result<bool> measure_sensitivity(const OutputJudge& judge, const OpenedModel& opened, const SensitivityOptions& options,
                                               ThreadPool& pool, std::span<MatrixChoices> matrices);

// The types that a row of so many columns can have, from the fewest bits on.
[[nodiscard]] std::vector<tensor::DType> types_for(std::uint64_t n_cols);

}  // namespace rafter::engine
