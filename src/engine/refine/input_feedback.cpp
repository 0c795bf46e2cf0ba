// A pass loads a program that ends at the last input it wants; all passes share one model's weights.
#include "engine/refine/input_feedback.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/importance/collect.h"

namespace rafter::engine {
namespace {

// Of the mean second moment, added to all: what a text leaves unseen, and what keeps the factor well-conditioned. GPTQ's.
constexpr float kDamping = 0.01F;

double multiply_adds(const model::Program& program, const model::Op& op) {
    double n = 0.0;
    for (const model::WeightId id : op.weights) {
        const model::Weight& weight = program.weights[id];
        const bool multiplies = op.kind == model::OpKind::kLinear || op.kind == model::OpKind::kExpertLinear;
        const double used = weight.n_experts > 1 ? program.config.moe.n_experts_used : 1.0;
        if (multiplies) n += used * static_cast<double>(weight.n_rows) * static_cast<double>(weight.n_cols);
    }
    return n;
}

Result<void> check_finite_inputs(const backend::Observed& observed, const std::string& tensor) {
    const std::size_t n_cols = observed.sum_squares.size() / observed.n_rows.size();
    for (std::size_t i = 0; i < observed.sum_squares.size(); ++i) {
        const auto sum = static_cast<float>(observed.sum_squares[i]);
        if (std::isfinite(sum)) continue;
        return bad_input("{}: column {}: expected finite inputs, found a sum of squares of {}: are weights of the model damaged?", tensor,
                         i % n_cols, sum);
    }
    return {};
}

}  // namespace

std::size_t InputFeedback::n_tokens() const {
    std::size_t n = 0;
    for (const auto& window : text_.windows) n += window.size();
    return n;
}

LoadModelOptions InputFeedback::load_options() const {
    LoadModelOptions load;
    load.context = static_cast<std::uint32_t>(text_.windows.front().size());
    load.n_outputs = std::min(kStepTokens, *load.context);
    load.activations = model::ActivationMode::kQ16;
    load.observe_inputs = true;
    return load;
}

Result<InputFeedback> InputFeedback::create(Runtime& runtime, const OpenedModel& opened, FeedbackText text,
                                            const std::vector<std::string>& tensors) {
    RAFTER_CHECK(!text.windows.empty() && !text.windows.front().empty(), "no text");
    InputFeedback feedback(runtime, opened, std::move(text));
    RAFTER_TRY(const PreparedModel prepared, prepare_model(runtime.backend(), opened, feedback.load_options()));
    feedback.find_inputs(prepared.program, tensors);
    feedback.plan_passes();
    return feedback;
}

void InputFeedback::find_inputs(const model::Program& program, const std::vector<std::string>& tensors) {
    double cost = 0.0;
    for (const model::Op& op : program.ops) {
        cost += multiply_adds(program, op);
        const auto* const observe = std::get_if<model::ObserveOptions>(&op.options);
        const std::size_t n_cols = op.inputs.empty() ? 0 : program.values[op.inputs.front()].width;
        if (observe == nullptr || n_cols % backend::kFeedbackGroup != 0) continue;
        Inputs inputs{
            .tensors = {}, .n_matrices = observe->n_matrices, .n_cols = n_cols, .cost_before = cost, .makes_values = observe->makes_values};
        for (const std::string& tensor : observe->tensors) {
            const bool is_wanted = std::ranges::find(tensors, tensor) != tensors.end();
            if (is_wanted && inputs_of_.emplace(tensor, inputs_.size()).second) inputs.tensors.push_back(tensor);
        }
        if (!inputs.tensors.empty()) inputs_.push_back(std::move(inputs));
    }
}

void InputFeedback::plan_passes() {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
        const std::uint64_t matrix_bytes = backend::moments_size(inputs_[i].n_cols) * sizeof(float);
        for (std::uint32_t m = 0; m < inputs_[i].n_matrices; ++m) {
            if (passes_.empty() || bytes + matrix_bytes > text_.moments_bytes) {
                passes_.emplace_back();
                bytes = 0;
            }
            bytes += matrix_bytes;
            std::vector<Part>& parts = passes_.back().parts;
            if (parts.empty() || parts.back().inputs != i) parts.push_back({.inputs = i, .first = m, .n = 0});
            ++parts.back().n;
        }
    }
    const auto n = static_cast<double>(n_tokens());
    for (Pass& pass : passes_) {
        pass.cost = n * inputs_[pass.parts.back().inputs].cost_before;
        for (const Part& part : pass.parts) {
            const Inputs& inputs = inputs_[part.inputs];
            pass.cost += n * static_cast<double>(backend::moments_size(inputs.n_cols)) * part.n / inputs.n_matrices;
        }
    }
}

std::optional<std::size_t> InputFeedback::pass_of(std::string_view tensor, std::uint32_t matrix) const {
    const auto found = inputs_of_.find(tensor);
    if (found == inputs_of_.end()) return std::nullopt;
    for (std::size_t pass = 0; pass < passes_.size(); ++pass) {
        for (const Part& part : passes_[pass].parts) {
            if (part.inputs == found->second && matrix >= part.first && matrix < part.first + part.n) return pass;
        }
    }
    return std::nullopt;
}

const backend::FeedbackFactor* InputFeedback::factor(std::string_view tensor, std::uint32_t matrix) const {
    const auto inputs = inputs_of_.find(tensor);
    if (inputs == inputs_of_.end()) return nullptr;
    const auto found = factors_.find({inputs->second, matrix});
    return found != factors_.end() && found->second.is_usable() ? &found->second : nullptr;
}

Result<bool> InputFeedback::collect(std::size_t number, const Hooks& hooks) {
    const Pass& pass = passes_[number];
    factors_.clear();
    if (!weights_) {
        RAFTER_TRY(LoadedModel weights, load_model(*runtime_, *opened_, load_options()));
        weights_ = std::move(weights);
    }
    LoadModelOptions load = load_options();
    load.weights_of = weights_->device.get();
    for (const Part& part : pass.parts) {
        const Inputs& inputs = inputs_[part.inputs];
        load.observe_moments.push_back({.tensor = inputs.tensors.front(),
                                        .first = part.first,
                                        .n = part.n,
                                        .first_position_counts = inputs.makes_values ? static_cast<std::uint32_t>(*load.context) : 1U});
    }
    RAFTER_TRY(LoadedModel model, load_model(*runtime_, *opened_, load));
    ImportanceCollector collector(model);
    for (std::size_t w = 0; w < text_.windows.size(); ++w) {
        if (hooks.is_stopped && hooks.is_stopped()) return false;
        collector.add(text_.windows[w]);
        if (hooks.progress) hooks.progress(static_cast<double>(w + 1) / static_cast<double>(text_.windows.size()));
    }
    RAFTER_TRY_VOID(take_factors(model, pass));
    return true;
}

Result<void> InputFeedback::take_factors(LoadedModel& model, const Pass& pass) {
    const model::Program& program = model.device->program();
    std::size_t next = 0;  // of the pass's parts, which are in the program's order
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
        if (program.ops[i].kind != model::OpKind::kObserve) continue;
        RAFTER_CHECK(next < pass.parts.size(), "{} was not to be observed", program.ops[i].name);
        const Part& part = pass.parts[next++];
        const Inputs& inputs = inputs_[part.inputs];
        RAFTER_TRY_VOID(check_finite_inputs(model.device->observed(i), inputs.tensors.front()));
        std::vector<std::vector<float>> moments = model.device->take_moments(i);
        for (std::uint32_t m = 0; m < part.n; ++m) {
            factors_[{part.inputs, part.first + m}] =
                backend::factor_moments(std::move(moments[m]), inputs.n_cols, kDamping, runtime_->pool());
        }
    }
    RAFTER_CHECK(next == pass.parts.size(), "{} of {} inputs were observed", next, pass.parts.size());
    return {};
}

}  // namespace rafter::engine
