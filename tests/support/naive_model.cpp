// Every op as its formula says.
#include "tests/support/naive_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "base/check.h"
#include "model/model_file.h"
#include "tensor/formats/formats.h"
#include "tests/support/kv_rounding.h"

namespace rafter::backend {
namespace {

using model::Op;
using model::OpKind;

// A token's keys or values of all heads, each head as the cache holds it.
void round_heads(std::vector<double>& row, std::size_t head_dim, KvType type) {
    const std::vector<float> floats(row.begin(), row.end());
    for (std::size_t at = 0; at < row.size(); at += head_dim) {
        const std::vector<float> head = rounded_row(std::span(floats).subspan(at, head_dim), type);
        std::ranges::copy(head, row.begin() + static_cast<std::ptrdiff_t>(at));
    }
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double activate(model::Activation activation, double gate, double up) {
    switch (activation) {
        case model::Activation::kSilu:
            return gate * sigmoid(gate) * up;
        case model::Activation::kGeluTanh:
            return 0.5 * gate * (1 + std::tanh(std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate))) * up;
        case model::Activation::kSwigluClamped: {
            const double g = std::min(gate, 7.0);
            return g * sigmoid(1.702 * g) * (std::clamp(up, -7.0, 7.0) + 1);
        }
    }
    return 0;
}

}  // namespace

// One sequence's values: [n_values][rows][width]. Every token is an output.
struct NaiveModel::Run {
    const NaiveModel& self;
    const std::vector<std::int32_t>& tokens;
    std::vector<Rows> values;
    std::vector<Rows> keys, cached_values;  // [n_layers]

    const model::Program& program() const { return self.program_; }
    std::size_t width(model::ValueId v) const { return program().values[v].width; }
    std::size_t n_used() const { return program().config.moe.n_experts_used; }

    void run(const Op& op) {
        std::size_t n_rows = tokens.size();
        if (!op.outputs.empty() && program().values[op.outputs[0]].rows == model::RowKind::kSlots) n_rows *= n_used();
        for (const model::ValueId v : op.outputs) values[v].assign(n_rows, std::vector<double>(width(v)));
        if (op.kind == OpKind::kKvAppend) {
            const std::uint32_t layer = std::get<model::CacheOptions>(op.options).layer;
            keys[layer] = values[op.inputs[0]];
            cached_values[layer] = values[op.inputs[1]];
            const std::size_t head_dim = program().config.head_dim;
            for (auto& row : keys[layer]) round_heads(row, head_dim, self.key_type_);
            for (auto& row : cached_values[layer]) round_heads(row, head_dim, self.value_type_);
            return;
        }
        for (std::size_t row = 0; row < n_rows; ++row) run_row(op, row, values[op.outputs[0]][row]);
    }

    void multiply(model::WeightId weight, std::size_t expert, const std::vector<double>& x, std::vector<double>& y) const {
        const model::Weight& w = program().weights[weight];
        const double* matrix = self.weights_[weight].data() + expert * w.n_rows * w.n_cols;
        for (std::size_t r = 0; r < w.n_rows; ++r) y[r] = std::inner_product(x.begin(), x.end(), matrix + r * w.n_cols, 0.0);
    }

    void run_row(const Op& op, std::size_t row, std::vector<double>& y) {
        const auto in = [&](std::size_t i) -> const std::vector<double>& { return values[op.inputs[i]][row]; };
        const auto weight = [&]() -> const std::vector<double>& { return self.weights_[op.weights[0]]; };
        const auto expert_of = [&](std::size_t slot) {
            return static_cast<std::size_t>(values[op.inputs[1]][slot / n_used()][slot % n_used()]);
        };
        switch (op.kind) {
            case OpKind::kEmbed:
                for (std::size_t i = 0; i < y.size(); ++i) {
                    y[i] = weight()[static_cast<std::size_t>(tokens[row]) * y.size() + i] *
                           static_cast<double>(std::get<model::EmbedOptions>(op.options).scale);
                }
                return;
            case OpKind::kRmsNorm:
                return norm(std::get<model::NormOptions>(op.options), in(0), weight(), y);
            case OpKind::kLinear:
                return multiply(op.weights[0], 0, in(0), y);
            case OpKind::kAddBias:
                return (void)std::ranges::transform(in(0), weight(), y.begin(), std::plus<>());
            case OpKind::kAdd:
                return (void)std::ranges::transform(in(0), in(1), y.begin(), std::plus<>());
            case OpKind::kRope:
                return rope(std::get<model::RopeOptions>(op.options), row, in(0), y);
            case OpKind::kAttention:
                return attention(op, row, in(0), y);
            case OpKind::kGatedActivation:
                for (std::size_t i = 0; i < y.size(); ++i) {
                    y[i] = activate(std::get<model::ActivationOptions>(op.options).activation, in(0)[i], in(1)[i]);
                }
                return;
            case OpKind::kSelectOutputs:
                y = in(0);
                return;
            case OpKind::kSoftcap:
                for (std::size_t i = 0; i < y.size(); ++i) {
                    const auto cap = static_cast<double>(std::get<model::SoftcapOptions>(op.options).cap);
                    y[i] = cap * std::tanh(in(0)[i] / cap);
                }
                return;
            case OpKind::kRoute:
                return route(std::get<model::RouteOptions>(op.options), in(0), y);
            case OpKind::kExpertLinear: {
                const bool by_slot = program().values[op.inputs[0]].rows == model::RowKind::kSlots;
                return multiply(op.weights[0], expert_of(row), values[op.inputs[0]][by_slot ? row : row / n_used()], y);
            }
            case OpKind::kAddExpertBias:
                for (std::size_t i = 0; i < y.size(); ++i) y[i] = in(0)[i] + weight()[expert_of(row) * y.size() + i];
                return;
            case OpKind::kCombineExperts:
                for (std::size_t rank = 0; rank < n_used(); ++rank) {
                    const std::vector<double>& x = values[op.inputs[0]][row * n_used() + rank];
                    for (std::size_t i = 0; i < y.size(); ++i) y[i] += values[op.inputs[1]][row][n_used() + rank] * x[i];
                }
                return;
            default:
                RAFTER_CHECK(false, "{} is not canonical", model::to_string(op.kind));
        }
    }

    static void norm(const model::NormOptions& options, const std::vector<double>& x, const std::vector<double>& gain,
                     std::vector<double>& y) {
        for (std::size_t begin = 0; begin < x.size(); begin += options.group) {
            double squares = 0;
            for (std::size_t i = 0; i < options.group; ++i) squares += x[begin + i] * x[begin + i];
            const double factor = 1 / std::sqrt(squares / options.group + static_cast<double>(options.epsilon));
            for (std::size_t i = 0; i < options.group; ++i) y[begin + i] = x[begin + i] * factor * gain[i];
        }
    }

    void rope(const model::RopeOptions& options, std::size_t position, const std::vector<double>& x, std::vector<double>& y) const {
        const model::RopeTable& table = program().config.rope_tables[options.table];
        y = x;
        const std::size_t half = table.inverse_frequency.size();
        for (std::size_t head = 0; head < x.size(); head += options.head_dim) {
            for (std::size_t i = 0; i < half; ++i) {
                const bool neighbours = table.pairing == model::RopePairing::kInterleaved;
                const std::size_t a = head + (neighbours ? 2 * i : i);
                const std::size_t b = head + (neighbours ? 2 * i + 1 : i + half);
                const double angle = static_cast<double>(position) * static_cast<double>(table.inverse_frequency[i]);
                const auto m = static_cast<double>(table.magnitude);
                y[a] = m * (x[a] * std::cos(angle) - x[b] * std::sin(angle));
                y[b] = m * (x[a] * std::sin(angle) + x[b] * std::cos(angle));
            }
        }
    }

    void attention(const Op& op, std::size_t row, const std::vector<double>& q, std::vector<double>& y) const {
        const auto& options = std::get<model::AttentionOptions>(op.options);
        const std::size_t head_dim = options.head_dim;
        const std::size_t first = options.window == 0 || row < options.window ? 0 : row + 1 - options.window;
        for (std::size_t head = 0; head < options.n_heads; ++head) {
            const std::size_t kv = head / (options.n_heads / options.n_kv_heads) * head_dim;
            std::vector<double> scores;
            for (std::size_t j = first; j <= row; ++j) {
                double score = 0;
                for (std::size_t d = 0; d < head_dim; ++d) score += q[head * head_dim + d] * keys[options.layer][j][kv + d];
                score *= static_cast<double>(options.scale);
                const auto cap = static_cast<double>(options.softcap);
                scores.push_back(cap == 0 ? score : cap * std::tanh(score / cap));
            }
            double largest = *std::ranges::max_element(scores);
            double sum = 0;
            if (!op.weights.empty()) {
                const double sink = self.weights_[op.weights[0]][head];
                largest = std::max(largest, sink);
                sum = std::exp(sink - largest);
            }
            for (double& s : scores) sum += s = std::exp(s - largest);
            for (std::size_t j = first; j <= row; ++j) {
                for (std::size_t d = 0; d < head_dim; ++d) {
                    y[head * head_dim + d] += scores[j - first] / sum * cached_values[options.layer][j][kv + d];
                }
            }
        }
    }

    static void route(const model::RouteOptions& options, const std::vector<double>& logits, std::vector<double>& y) {
        std::vector<std::size_t> order(logits.size());
        std::iota(order.begin(), order.end(), 0);
        std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
        const std::size_t k = options.n_experts_used;
        const bool over_all = options.scoring == model::RouterScoring::kSoftmaxThenTopK;
        double total = 0;
        for (std::size_t i = 0; i < (over_all ? order.size() : k); ++i) total += std::exp(logits[order[i]] - logits[order[0]]);
        double chosen = 0;
        for (std::size_t i = 0; i < k; ++i) {
            y[i] = static_cast<double>(order[i]);
            y[k + i] = std::exp(logits[order[i]] - logits[order[0]]) / total;
            chosen += y[k + i];
        }
        if (over_all && options.normalize_weights) {
            for (std::size_t i = 0; i < k; ++i) y[k + i] /= chosen;
        }
    }
};

NaiveModel::NaiveModel(const model::Program& program, const files::TensorSource& source, KvType key_type, KvType value_type)
    : program_(program), key_type_(key_type), value_type_(value_type) {
    for (const model::Weight& w : program.weights) {
        const bool is_vector = w.kind == model::WeightKind::kVector || w.kind == model::WeightKind::kVectors;
        const std::size_t n_rows = std::size_t{w.n_experts} * (is_vector ? 1 : w.n_rows);
        std::vector<float> decoded(n_rows * w.n_cols);
        const files::NamedTensor& tensor = model::tensor_of(w, source);
        std::vector<std::byte> scratch(n_rows * tensor.row_bytes());
        tensor::format_of(w.source_dtype)
            .decode(source.rows(tensor, model::first_row(w, 0), n_rows, scratch).data(), decoded.data(), decoded.size());
        weights_.emplace_back(decoded.begin(), decoded.end());
    }
}

NaiveModel::Rows NaiveModel::logits(const std::vector<std::int32_t>& tokens) const { return value(program_.logits, tokens); }

NaiveModel::Rows NaiveModel::hidden(const std::vector<std::int32_t>& tokens) const { return value(program_.hidden, tokens); }

NaiveModel::Rows NaiveModel::value(model::ValueId id, const std::vector<std::int32_t>& tokens) const {
    Run run{.self = *this, .tokens = tokens, .values = {}, .keys = {}, .cached_values = {}};
    run.values.resize(program_.values.size());
    run.keys.resize(program_.config.n_layers);
    run.cached_values.resize(program_.config.n_layers);
    for (const Op& op : program_.ops) run.run(op);
    return run.values[id];
}

}  // namespace rafter::backend
