// One case for each kind of op that reads weights or the cache; all others move only activations.
#include "roofline/step_bytes.h"

#include <algorithm>
#include <cmath>

#include "tensor/formats/formats.h"

namespace rafter::roofline {
namespace {

using model::Op;
using model::OpKind;
using model::RowKind;
using model::StepShape;
using model::Weight;
using model::WeightKind;

// Vectors are held as float, whatever the file has.
bool is_vector(const Weight& weight) { return weight.kind == WeightKind::kVector || weight.kind == WeightKind::kVectors; }
tensor::DType held_type(const Weight& weight) { return is_vector(weight) ? tensor::DType::kF32 : weight.dtype; }

// What a step of n_tokens reads of it.
double bytes_read(const Weight& weight, const model::MoeConfig& moe, double n_tokens) {
    const auto row =
        static_cast<double>(is_vector(weight) ? sizeof(float) * weight.n_cols : tensor::format_of(weight.dtype).row_bytes(weight.n_cols));
    switch (weight.kind) {
        case WeightKind::kEmbedding:
            return row * n_tokens;
        case WeightKind::kExperts:
        case WeightKind::kVectors:
            return row * weight.n_rows * expected_experts(weight.n_experts, moe.n_experts_used, n_tokens);
        case WeightKind::kMatrix:
        case WeightKind::kVector:
            return row * weight.n_rows;
    }
    return 0.0;
}

bool has_rows(const model::Program& program, const Op& op, const StepShape& shape) {
    const bool outputs_only = !op.outputs.empty() && program.values[op.outputs.front()].rows == RowKind::kOutputs;
    return (outputs_only ? shape.n_outputs() : shape.n_tokens()) > 0;
}

double position_bytes(const model::ModelConfig& config, KvElementBytes kv) {
    return static_cast<double>(config.n_kv_heads) * config.head_dim * (kv.key + kv.value);
}

}  // namespace

StepBytes& StepBytes::operator+=(const StepBytes& other) {
    weights += other.weights;
    kv_read += other.kv_read;
    kv_written += other.kv_written;
    return *this;
}

double expected_experts(double n_experts, double n_used, double n_tokens) {
    if (n_experts <= 0.0) return 0.0;
    return n_experts * (1.0 - std::pow(1.0 - n_used / n_experts, n_tokens));
}

StepBytes step_bytes(const model::Program& program, const Op& op, const StepShape& shape, KvElementBytes kv) {
    StepBytes bytes;
    if (!op.parts.empty()) {
        for (const Op& part : op.parts) bytes += step_bytes(program, part, shape, kv);
        return bytes;
    }
    if (!has_rows(program, op, shape)) return bytes;
    for (const model::WeightId id : op.weights) bytes.weights += bytes_read(program.weights[id], program.config.moe, shape.n_tokens());
    if (op.kind == OpKind::kKvAppend) bytes.kv_written = shape.n_tokens() * position_bytes(program.config, kv);
    if (op.kind == OpKind::kAttention) {
        const auto& attention = std::get<model::AttentionOptions>(op.options);
        for (const model::SequenceStep& sequence : shape.sequences) {
            double n_seen = static_cast<double>(sequence.n_past) + sequence.n_new;
            // The first new token sees its window, each further one a position more.
            if (attention.window > 0) n_seen = std::min(n_seen, static_cast<double>(attention.window) + sequence.n_new - 1);
            bytes.kv_read += n_seen * position_bytes(program.config, kv);
        }
    }
    return bytes;
}

StepBytes step_bytes(const model::Program& program, const StepShape& shape, KvElementBytes kv) {
    StepBytes bytes;
    for (const Op& op : program.ops) bytes += step_bytes(program, op, shape, kv);
    return bytes;
}

std::map<tensor::DType, double> weight_bytes_by_type(const model::Program& program, const StepShape& shape) {
    std::map<tensor::DType, double> bytes;
    for (const Op& op : program.ops) {
        if (!has_rows(program, op, shape)) continue;
        for (const model::WeightId id : op.weights) {
            const Weight& weight = program.weights[id];
            bytes[held_type(weight)] += bytes_read(weight, program.config.moe, shape.n_tokens());
        }
    }
    return bytes;
}

double kv_bytes_per_token(const model::ModelConfig& config, KvElementBytes kv) { return config.n_layers * position_bytes(config, kv); }

}  // namespace rafter::roofline
