// What error feedback (backend/feedback.h) knows of a model's inputs: the second moments of each matrix's, measured on a text. They are too
// much to have all at once, so that the text is run through the model in passes, each for the matrices whose moments fit into a bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/feedback.h"
#include "base/result.h"
#include "engine/loading/loaded_model.h"

namespace rafter::engine {

// Of moments that a pass collects, but for a single matrix that has more.
inline constexpr std::uint64_t kMomentsBytes = std::uint64_t{1} << 30U;

struct FeedbackText {
    std::vector<std::vector<text::TokenId>> windows;  // one at least; none has more tokens than the first
    std::uint64_t moments_bytes = kMomentsBytes;      // of a pass
};

class InputFeedback {
  public:
    // tensors: matrices that will be encoded; those that multiply nothing in the model, or whose rows are no whole groups of columns, are
    // in no pass. Reads no weights. runtime and opened outlive this.
    [[nodiscard]] static Result<InputFeedback> create(Runtime& runtime, const OpenedModel& opened, FeedbackText text,
                                                      const std::vector<std::string>& tensors);

    [[nodiscard]] std::size_t n_passes() const { return passes_.size(); }
    [[nodiscard]] std::size_t n_tokens() const;
    // In which pass the inputs of a tensor's matrix (0, or an expert) are measured.
    [[nodiscard]] std::optional<std::size_t> pass_of(std::string_view tensor, std::uint32_t matrix) const;
    // Multiply-adds: to compare passes with each other.
    [[nodiscard]] double cost(std::size_t pass) const { return passes_[pass].cost; }

    struct Hooks {
        std::function<void(double fraction)> progress;  // may be empty
        std::function<bool()> is_stopped;               // may be empty
    };
    // Runs the text for a pass and drops what an earlier one left. False: stopped. Fails on inputs that are NaN or infinite, naming the
    // tensor.
    [[nodiscard]] Result<bool> collect(std::size_t pass, const Hooks& hooks);
    // Of the last pass; null: nothing is known of its inputs.
    [[nodiscard]] const backend::FeedbackFactor* factor(std::string_view tensor, std::uint32_t matrix) const;
    void release() { factors_.clear(); }

  private:
    struct Inputs {  // that one or several tensors multiply: a kObserve op
        std::vector<std::string> tensors;
        std::uint32_t n_matrices = 1;
        std::size_t n_cols = 0;
        double cost_before = 0.0;   // multiply-adds a token up to here
        bool makes_values = false;  // of attention
    };
    struct Part {  // some matrices of one Inputs
        std::size_t inputs = 0;
        std::uint32_t first = 0;
        std::uint32_t n = 0;
    };
    struct Pass {
        std::vector<Part> parts;
        double cost = 0.0;
    };

    InputFeedback(Runtime& runtime, const OpenedModel& opened, FeedbackText text)
        : runtime_(&runtime), opened_(&opened), text_(std::move(text)) {}
    void find_inputs(const model::Program& program, const std::vector<std::string>& tensors);
    void plan_passes();
    [[nodiscard]] LoadModelOptions load_options() const;
    [[nodiscard]] Result<void> take_factors(LoadedModel& model, const Pass& pass);

    Runtime* runtime_;
    const OpenedModel* opened_;
    FeedbackText text_;
    std::vector<Inputs> inputs_;
    std::map<std::string, std::size_t, std::less<>> inputs_of_;  // of a tensor
    std::vector<Pass> passes_;
    std::optional<LoadedModel> weights_;                                                // that all passes share
    std::map<std::pair<std::size_t, std::uint32_t>, backend::FeedbackFactor> factors_;  // (inputs, matrix), of the last pass
};

}  // namespace rafter::engine
