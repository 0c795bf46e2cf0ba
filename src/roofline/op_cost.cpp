// Formulas: a matrix takes 2 flops a weight and row; attention 2 for q·k and 2 for p·v, a head's element and position seen
// (https://kipp.ly/transformer-inference-arithmetic/, https://jax-ml.github.io/scaling-book/transformers/). What small ops need an element
// is as LLM-Viewer counts it (https://arxiv.org/abs/2402.16363); no step's time hangs on it.
#include "roofline/op_cost.h"

#include <algorithm>
#include <cmath>

#include "model/workspace.h"
#include "tensor/formats/formats.h"

namespace rafter::roofline {
namespace {

using model::Op;
using model::OpKind;
using model::Program;
using model::RowKind;
using model::ValueId;
using model::Weight;
using model::WeightKind;

constexpr double kNormFlops = 7.0;
constexpr double kSoftmaxFlops = 5.0;
constexpr double kActivationFlops = 5.0;
constexpr double kRopeFlops = 3.0;  // 4 multiplications and 2 additions a pair
constexpr double kQuantizeFlops = 3.0;

bool is_vector(const Weight& weight) { return weight.kind == WeightKind::kVector || weight.kind == WeightKind::kVectors; }
tensor::DType held_type(const Weight& weight) { return is_vector(weight) ? tensor::DType::kF32 : weight.dtype; }

double sequence_positions(const StepRows& rows, double window) {
    const double n_seen = rows.n_past + rows.n_new;
    // The first new token sees its window, each further one a position more.
    return window > 0.0 ? std::min(n_seen, window + rows.n_new - 1) : n_seen;
}

// Positions of the cache that some new token sees, of all sequences; what several of them share counts once.
double positions_seen(const Step& step, double window) {
    double n = 0.0;
    for (const StepRows& r : step.rows) {
        if (r.n_new <= 0.0) continue;
        const double n_seen = sequence_positions(r, window);
        const double n_passed = r.n_past + r.n_new - n_seen;  // that the window has left behind
        n += r.n_sequences * (n_seen - std::clamp(r.n_shared - n_passed, 0.0, n_seen));
    }
    return n;
}

class OpCosts {
  public:
    OpCosts(const Program& program, const Step& step, const CostOptions& options)
        : program_(program),
          step_(step),
          options_(options),
          n_tokens_(step.n_tokens()),
          n_outputs_(step.n_outputs()),
          n_hidden_(step.n_hidden()) {}

    OpCost of(const Op& op) const {
        OpCost cost;
        if (!op.parts.empty()) {
            for (const Op& part : op.parts) cost += of(part);
            cost.activation_bytes = border_bytes(op);
            return cost;
        }
        if (n_rows(op) <= 0.0) return cost;
        for (const model::WeightId id : op.weights) cost.weight_bytes += bytes_read(program_.weights[id]);
        cost.flops = flops(op);
        cost.activation_bytes = border_bytes(op);
        add_cache(op, cost);
        return cost;
    }

  private:
    double rows_of(RowKind kind) const {
        switch (kind) {
            case RowKind::kTokens:
                return n_tokens_;
            case RowKind::kHidden:
                return n_outputs_ + n_hidden_;
            case RowKind::kOutputs:
                return n_outputs_;
            case RowKind::kSlots:
                return n_tokens_ * program_.config.moe.n_experts_used;
        }
        return 0.0;
    }
    // Rows that the op makes, or reads where it makes none.
    double n_rows(const Op& op) const {
        if (!op.outputs.empty()) return rows_of(program_.values[op.outputs.front()].rows);
        return op.inputs.empty() ? n_tokens_ : rows_of(program_.values[op.inputs.front()].rows);
    }
    double width(ValueId v) const { return program_.values[v].width; }
    double elements_out(const Op& op) const { return op.outputs.empty() ? 0.0 : n_rows(op) * width(op.outputs.front()); }

    double value_bytes(ValueId id) const {
        const model::Value& value = program_.values[id];
        const double rows = rows_of(value.rows);
        if (value.encoding == model::Encoding::kF32) return rows * value.width * options_.activation_bytes;
        return rows * static_cast<double>(model::row_bytes(value));
    }
    double border_bytes(const Op& op) const {
        double bytes = 0.0;
        for (const ValueId v : op.inputs) bytes += value_bytes(v);
        for (const ValueId v : op.outputs) bytes += value_bytes(v);
        // Scores have no fixed width: see attention_cost().
        const double scores = score_count(op) * options_.activation_bytes;
        if (op.kind == OpKind::kAttentionScores || op.kind == OpKind::kAttentionValues) bytes += scores;
        if (op.kind == OpKind::kSoftmax) bytes += 2 * scores;
        return bytes;
    }

    double bytes_read(const Weight& weight) const {
        const double row = weight_bits(weight, options_) / 8 * weight.n_cols;
        switch (weight.kind) {
            case WeightKind::kEmbedding:
                return row * n_tokens_;
            case WeightKind::kExperts:
            case WeightKind::kVectors:
                return row * weight.n_rows * expected_experts(weight.n_experts, program_.config.moe.n_experts_used, n_tokens_);
            case WeightKind::kMatrix:
            case WeightKind::kVector:
                return row * weight.n_rows;
        }
        return 0.0;
    }

    static const model::AttentionOptions* attention_of(const Op& op) { return std::get_if<model::AttentionOptions>(&op.options); }

    // Unfused attention multiplies whole matrices: it computes the scores that the causal mask then hides, too.
    double score_count(const Op& op) const {
        if (op.kind != OpKind::kAttentionScores && op.kind != OpKind::kSoftmax && op.kind != OpKind::kAttentionValues) return 0.0;
        const model::AttentionOptions& a = *attention_of(op);
        double n = 0.0;
        for (const StepRows& r : step_.rows) n += r.n_sequences * r.n_new * sequence_positions(r, a.window);
        return n * a.n_heads;
    }

    double attention_flops(const Op& op) const {
        const model::AttentionOptions& a = *attention_of(op);
        const double pairs = attention_pairs(step_, a.window);
        const model::MlaConfig& mla = program_.config.mla;
        const double per_pair = 2.0 * a.n_heads * (double{1} * a.head_dim + value_dim(a));
        if (mla.kv_lora_rank == 0) return pairs * per_pair;
        // Latents can instead be made into each head's keys and values, those of the past once more: cheaper for many new tokens.
        double n_past = 0.0;
        for (const StepRows& r : step_.rows) n_past += r.n_sequences * r.n_past;
        const double key_dim = double{1} * mla.nope_head_dim + mla.rope_head_dim;
        const double expand = 2.0 * a.n_heads * mla.kv_lora_rank * (double{1} * mla.nope_head_dim + mla.value_head_dim);
        return std::min(pairs * per_pair, pairs * 2.0 * a.n_heads * (key_dim + mla.value_head_dim) + n_past * expand);
    }
    double value_dim(const model::AttentionOptions& a) const {
        return program_.config.mla.kv_lora_rank > 0 ? program_.config.mla.kv_lora_rank : a.head_dim;
    }

    double flops(const Op& op) const {
        switch (op.kind) {
            case OpKind::kLinear:
            case OpKind::kLinearByHead:
            case OpKind::kExpertLinear: {
                double n = 0.0;
                for (const model::WeightId id : op.weights) n += 2.0 * program_.weights[id].n_rows * program_.weights[id].n_cols;
                return n * n_rows(op);
            }
            case OpKind::kAttention:
            case OpKind::kLatentAttention:
                return attention_flops(op);
            case OpKind::kAttentionScores:
                return score_count(op) * 2 * attention_of(op)->head_dim;
            case OpKind::kAttentionValues:
                return score_count(op) * 2 * value_dim(*attention_of(op));
            case OpKind::kSoftmax:
                return score_count(op) * kSoftmaxFlops;
            case OpKind::kRmsNorm:
            case OpKind::kLayerNorm:
                return elements_out(op) * kNormFlops;
            case OpKind::kRope:
                return elements_out(op) * kRopeFlops;
            case OpKind::kGatedActivation:
                return elements_out(op) * (kActivationFlops + 1);
            case OpKind::kActivation:
            case OpKind::kSoftcap:
                return elements_out(op) * kActivationFlops;
            case OpKind::kQuantize:
                return elements_out(op) * kQuantizeFlops;
            case OpKind::kObserve:
                return 2.0 * width(op.inputs.front()) * (op.inputs.size() > 1 ? rows_of(RowKind::kSlots) : n_rows(op));
            case OpKind::kAdd:
            case OpKind::kAddBias:
            case OpKind::kAddExpertBias:
            case OpKind::kEmbed:
            case OpKind::kEmbedPosition:
                return elements_out(op);
            case OpKind::kRoute:
                return n_rows(op) * width(op.inputs.front()) * kSoftmaxFlops;
            case OpKind::kCombineExperts:
                return 2.0 * elements_out(op) * program_.config.moe.n_experts_used;
            case OpKind::kKvAppend:
            case OpKind::kLatentAppend:
            case OpKind::kSelectOutputs:
            case OpKind::kFusedRows:
                return 0.0;
        }
        return 0.0;
    }

    void add_cache(const Op& op, OpCost& cost) const {
        const model::ModelConfig& config = program_.config;
        if (op.kind == OpKind::kKvAppend || op.kind == OpKind::kLatentAppend)
            cost.kv_written_bytes = n_tokens_ * position_bytes(config, options_.kv);
        const model::AttentionOptions* attention = attention_of(op);
        if (attention == nullptr || op.kind == OpKind::kSoftmax) return;
        const double n_seen = positions_seen(step_, attention->window);
        KvElementBytes kv = options_.kv;
        if (op.kind == OpKind::kAttentionScores) kv.value = 0.0;
        if (op.kind == OpKind::kAttentionValues) kv.key = config.mla.kv_lora_rank > 0 ? kv.key : 0.0;
        cost.kv_read_bytes = n_seen * position_bytes(config, kv);
    }

    const Program& program_;
    const Step& step_;
    const CostOptions& options_;
    double n_tokens_;
    double n_outputs_;
    double n_hidden_;
};

}  // namespace

OpCost& OpCost::operator+=(const OpCost& other) {
    flops += other.flops;
    weight_bytes += other.weight_bytes;
    kv_read_bytes += other.kv_read_bytes;
    kv_written_bytes += other.kv_written_bytes;
    activation_bytes += other.activation_bytes;
    return *this;
}

OpCost OpCost::scaled(double factor) const {
    return {flops * factor, weight_bytes * factor, kv_read_bytes * factor, kv_written_bytes * factor, activation_bytes * factor};
}

double expected_experts(double n_experts, double n_used, double n_tokens) {
    if (n_experts <= 0.0) return 0.0;
    return n_experts * (1.0 - std::pow(1.0 - n_used / n_experts, n_tokens));
}

double attention_pairs(const Step& step, double window) {
    // Pairs of the first m positions of a sequence.
    const auto until = [window](double m) {
        if (window <= 0.0 || m <= window) return m * (m + 1) / 2;
        return window * (window + 1) / 2 + (m - window) * window;
    };
    double pairs = 0.0;
    for (const StepRows& r : step.rows) {
        // As a difference of squares it would lose all digits for one token after 10^9 others.
        const bool window_is_full = window > 0.0 && r.n_past >= window;
        const bool never_full = window <= 0.0 || r.n_past + r.n_new <= window;
        double n = until(r.n_past + r.n_new) - until(r.n_past);
        if (window_is_full) n = r.n_new * window;
        if (never_full) n = r.n_new * r.n_past + r.n_new * (r.n_new + 1) / 2;
        pairs += r.n_sequences * n;
    }
    return pairs;
}

double weight_bits(const Weight& weight, const CostOptions& options) {
    const bool of_experts = weight.kind == WeightKind::kExperts || weight.kind == WeightKind::kVectors;
    if (of_experts && options.expert_bits) return *options.expert_bits;
    if (options.table_bits && (weight.tensor.starts_with("token_embd.") || weight.tensor.starts_with("output.")))
        return *options.table_bits;
    if (options.weight_bits) return *options.weight_bits;
    return tensor::format_of(held_type(weight)).bits_per_element();
}

OpCost op_cost(const Program& program, const Op& op, const Step& step, const CostOptions& options) {
    return OpCosts(program, step, options).of(op);
}

OpCost step_cost(const Program& program, const Step& step, const CostOptions& options) {
    const OpCosts cost(program, step, options);
    OpCost sum;
    for (const Op& op : program.ops) sum += cost.of(op);
    return sum;
}

std::map<tensor::DType, double> weight_bytes_by_type(const Program& program, const Step& step) {
    std::map<tensor::DType, double> bytes;
    for (const Op& op : program.ops) {
        for (const model::WeightId id : op.weights) {
            Op alone = op;
            alone.parts.clear();
            alone.weights = {id};
            bytes[held_type(program.weights[id])] += op_cost(program, alone, step, {}).weight_bytes;
        }
    }
    return bytes;
}

double position_bytes(const model::ModelConfig& config, KvElementBytes kv) {
    if (config.mla.kv_lora_rank > 0) return (double{1} * config.mla.kv_lora_rank + config.mla.rope_head_dim) * kv.key;
    return double{1} * config.n_kv_heads * config.head_dim * (kv.key + kv.value);
}

double kv_bytes_per_token(const model::ModelConfig& config, KvElementBytes kv) { return config.n_layers * position_bytes(config, kv); }

}  // namespace rafter::roofline
