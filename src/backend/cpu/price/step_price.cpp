// One case for each kind of op, as in op_cost.h.
#include "backend/cpu/price/step_price.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "backend/cpu/kv_store.h"
#include "backend/cpu/packed_layout.h"
#include "backend/cpu/price/attention_price.h"
#include "backend/cpu/split.h"
#include "model/workspace.h"
#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {
namespace {

using hardware::Profile;
using model::Op;
using model::OpKind;
using model::Program;
using model::RowKind;
using roofline::OpPrice;
using roofline::PriceBound;
using roofline::PriceOptions;
using roofline::Step;
using roofline::StepPrice;
using roofline::StepRows;

constexpr double kCacheLine = 64.0;
constexpr double kCacheTile = kTilePositions;

class Pricer {
  public:
    Pricer(const Program& program, const Step& step, const Profile& profile, const PriceOptions& options)
        : program_(program), step_(step), profile_(profile), options_(options), n_threads_(profile.key.n_threads) {}

    StepPrice price() {
        StepPrice result;
        for (const Op& op : program_.ops) result.ops.push_back({.cost = cost_of(op)});
        for (const OpPrice& op : result.ops) result.working_set_bytes += op.cost.read_bytes();
        working_set_bytes_ = result.working_set_bytes;
        bandwidth_ = hardware::bandwidth_at(profile_, working_set_bytes_, n_threads_);
        roof_ = hardware::best_bandwidth_at(profile_, working_set_bytes_, n_threads_);
        result.bandwidth_bytes_per_s = bandwidth_;
        result.roof_bytes_per_s = roof_;
        result.int8_unit = profile_.int8_unit;
        result.level = hardware::level_at(profile_, working_set_bytes_);
        for (std::size_t i = 0; i < program_.ops.size(); ++i) {
            price_op(program_.ops[i], result.ops[i]);
            result.seconds += result.ops[i].seconds;
        }
        double n_angles = 0.0;
        for (const model::RopeTable& table : program_.config.rope_tables) n_angles += static_cast<double>(table.inverse_frequency.size());
        result.fixed_seconds = profile_.fork_join_seconds + rows_seconds("angles", busiest(step_.n_tokens(), std::nullopt), n_angles);
        result.seconds += result.fixed_seconds;
        result.complete = complete_;
        return result;
    }

  private:
    // Unfused attention is said to compute and hand over whole rectangles of scores (op_cost.h): these kernels leave out what the causal
    // mask hides.
    [[nodiscard]] roofline::OpCost cost_of(const Op& op) const {
        roofline::OpCost cost = roofline::op_cost(program_, op, step_, options_.cost);
        if (!is_part_of_attention(op.kind)) return cost;
        const auto& attention = std::get<model::AttentionOptions>(op.options);
        double n_computed = 0.0;
        for (const StepRows& r : step_.rows) {
            const double n_seen = r.n_past + r.n_new;
            const double window = attention.window;
            n_computed += r.n_sequences * r.n_new * (window > 0 ? std::min(n_seen, window + r.n_new - 1) : n_seen);
        }
        if (n_computed <= 0) return cost;
        const double computed_bytes = n_computed * attention.n_heads * options_.cost.activation_bytes;
        cost.flops *= roofline::attention_pairs(step_, attention.window) / n_computed;
        cost.activation_bytes += (op.kind == OpKind::kSoftmax ? 2 : 1) * (score_bytes(op) - computed_bytes);
        return cost;
    }
    static bool is_part_of_attention(OpKind kind) {
        return kind == OpKind::kAttentionScores || kind == OpKind::kSoftmax || kind == OpKind::kAttentionValues;
    }
    // Of a layer's scores in this step, those that some query sees.
    [[nodiscard]] double score_bytes(const Op& op) const {
        const auto& attention = std::get<model::AttentionOptions>(op.options);
        return roofline::attention_pairs(step_, attention.window) * attention.n_heads * options_.cost.activation_bytes;
    }

    [[nodiscard]] double n_rows(RowKind kind) const {
        switch (kind) {
            case RowKind::kTokens:
                return step_.n_tokens();
            case RowKind::kHidden:
                return step_.n_outputs() + step_.n_hidden();
            case RowKind::kOutputs:
                return step_.n_outputs();
            case RowKind::kSlots:
                return step_.n_tokens() * program_.config.moe.n_experts_used;
        }
        return 0.0;
    }
    static double panel_rows() { return kPanelRows; }
    [[nodiscard]] const model::Value& value(model::ValueId id) const { return program_.values[id]; }

    void price_op(const Op& op, OpPrice& price) {
        switch (op.kind) {
            case OpKind::kLinear:
            case OpKind::kLinearByHead:
                price_linear(op, price);
                break;
            case OpKind::kExpertLinear:
                price_experts(op, price);
                break;
            case OpKind::kAttention:
            case OpKind::kLatentAttention: {
                const AttentionPrice attention =
                    price_attention(std::get<model::AttentionOptions>(op.options), step_, profile_, options_.key_type, options_.value_type);
                complete_ = complete_ && attention.complete;
                price.compute_seconds = attention.compute_seconds;
                price.memory_seconds = price.cost.kv_read_bytes / bandwidth_;
                combine(price, attention.hidden);
                break;
            }
            case OpKind::kAttentionScores:
            case OpKind::kSoftmax:
            case OpKind::kAttentionValues:
                price_part_of_attention(op, price);
                break;
            case OpKind::kEmbed:
            case OpKind::kEmbedPosition:
            case OpKind::kRmsNorm:
            case OpKind::kLayerNorm:
            case OpKind::kAddBias:
            case OpKind::kRope:
            case OpKind::kKvAppend:
            case OpKind::kLatentAppend:
            case OpKind::kAdd:
            case OpKind::kGatedActivation:
            case OpKind::kActivation:
            case OpKind::kSelectOutputs:
            case OpKind::kSoftcap:
            case OpKind::kRoute:
            case OpKind::kAddExpertBias:
            case OpKind::kCombineExperts:
            case OpKind::kQuantize:
            case OpKind::kFusedRows:
                price_rows(op, price);
                break;
            case OpKind::kObserve:
                complete_ = false;  // not measured: models that are served have none
                break;
        }
        price.overhead_seconds += overhead_seconds(op);
        price.seconds += price.overhead_seconds;
        const bool in_bytes = !op.inputs.empty() && value(op.inputs.front()).encoding != model::Encoding::kF32;
        price.arithmetic = in_bytes ? roofline::Arithmetic::kInt8 : roofline::Arithmetic::kFloat;
        price.peak_flop_per_s = in_bytes ? profile_.int8_flop_per_s : profile_.float_flop_per_s;
        price.roof_seconds = std::max(price.cost.read_bytes() / roof_, price.cost.flops / price.peak_flop_per_s);
        const double most = std::max({price.compute_seconds, price.memory_seconds, price.overhead_seconds});
        price.bound = most == price.overhead_seconds ? PriceBound::kOverhead
                      : most == price.memory_seconds ? PriceBound::kMemory
                                                     : PriceBound::kCompute;
    }

    static void combine(OpPrice& price, double hidden) {
        price.seconds =
            std::max(price.compute_seconds, price.memory_seconds) + (1.0 - hidden) * std::min(price.compute_seconds, price.memory_seconds);
    }

    // Scores that do not stay in the second cache go to where all of them fit: written, which reads a line first; read and written back;
    // read.
    void price_part_of_attention(const Op& op, OpPrice& price) {
        const auto& attention = std::get<model::AttentionOptions>(op.options);
        AttentionPrice part;
        double n_transfers = 0.0;
        if (op.kind == OpKind::kAttentionScores) {
            part = price_scores(attention, step_, profile_, options_.key_type);
            n_transfers = 2.0;
        } else if (op.kind == OpKind::kSoftmax) {
            part = price_softmax(attention, step_, profile_);
            n_transfers = 2.0;
        } else {
            part = price_values(attention, step_, profile_, options_.value_type);
            n_transfers = 1.0;
        }
        complete_ = complete_ && part.complete;
        const double bytes = score_bytes(op);
        const double near_bytes = profile_.caches.size() > 1 ? profile_.caches[1].size_bytes : 0.0;
        price.compute_seconds = part.compute_seconds;
        price.memory_seconds = price.cost.kv_read_bytes / bandwidth_;
        if (bytes > near_bytes) price.memory_seconds += n_transfers * bytes / hardware::bandwidth_at(profile_, bytes, n_threads_);
        combine(price, part.hidden);
    }

    // ---- matrices

    struct KernelRate {
        double near_seconds = 0.0;  // a weight
        double hidden = 1.0;
    };
    KernelRate rate_of(const model::Weight& weight, model::Encoding encoding, double n_columns) {
        const char* activations = encoding == model::Encoding::kF32 ? "f32" : encoding == model::Encoding::kQ8 ? "q8" : "q16";
        const auto near = hardware::matrix_seconds(profile_, weight.dtype, activations, n_columns, false);
        if (!near) {
            complete_ = false;  // float arithmetic at its peak is the best that could be
            return {.near_seconds = 2 * n_columns / profile_.float_flop_per_s};
        }
        // Beyond the last reading from memory the kernel hides as much as there.
        double most_columns = 1.0;
        for (const auto& r : profile_.matrices) {
            if (r.from_memory && r.weights == weight.dtype && r.activations == activations) {
                most_columns = std::max(most_columns, static_cast<double>(r.n_columns));
            }
        }
        const double at = std::min(n_columns, most_columns);
        const auto cold = hardware::matrix_seconds(profile_, weight.dtype, activations, at, true);
        if (!cold || profile_.stream_bytes_per_s <= 0) return {.near_seconds = *near};
        const double compute = *hardware::matrix_seconds(profile_, weight.dtype, activations, at, false);
        const double memory = tensor::format_of(weight.dtype).bits_per_element() / 8 / profile_.stream_bytes_per_s;
        const double visible = (*cold - std::max(compute, memory)) / std::min(compute, memory);
        return {.near_seconds = *near, .hidden = 1.0 - std::clamp(visible, 0.0, kMaxVisible)};
    }

    // How much longer the busiest thread works than the average one, by the bytes of its share: of a static split that share is the
    // thread's own (share_of); of parts that threads take as they come, half a part is waited for.
    [[nodiscard]] double imbalance(const Op& op, const LinearSplit& split) {
        std::vector<PackedMatrix> matrices;
        double total = 0.0;
        for (const model::WeightId id : op.weights) {
            const model::Weight& w = program_.weights[id];
            // As packed_matrix(), which insists on whole blocks: a what-if may have a type that the width does not divide into.
            const double row_bytes = w.n_cols * tensor::format_of(w.dtype).bits_per_element() / 8;
            matrices.push_back({.dtype = w.dtype,
                                .n_rows = w.n_rows,
                                .n_cols = w.n_cols,
                                .n_panels = (w.n_rows + kPanelRows - 1) / kPanelRows,
                                .panel_bytes = kPanelRows * static_cast<std::size_t>(std::max(1.0, row_bytes))});
            total += static_cast<double>(matrices.back().n_panels) * static_cast<double>(matrices.back().panel_bytes);
        }
        std::vector<std::uint32_t> shape;
        for (const PackedMatrix& m : matrices) shape.insert(shape.end(), {static_cast<std::uint32_t>(m.dtype), m.n_rows, m.n_cols});
        shape.push_back(split.n_parts);
        const auto [known, is_new] = imbalances_.try_emplace(std::move(shape), 1.0);
        if (!is_new) return known->second;
        double most = 0.0;
        for (unsigned part = 0; part < split.n_parts; ++part) {
            double bytes = 0.0;
            for (std::size_t i = 0; i < matrices.size(); ++i) {
                const PanelRange range = share_of(matrices, i, part, split.n_parts);
                bytes += static_cast<double>(range.last - range.first) * static_cast<double>(matrices[i].panel_bytes);
            }
            most = std::max(most, bytes);
        }
        const double even = total / n_threads_;
        known->second = split.as_threads_come ? 1.0 + 0.5 * most / even : most / even;
        if (n_threads_ < 2) known->second = 1.0;
        return known->second;
    }

    void price_linear(const Op& op, OpPrice& price) {
        const model::Value& x = value(op.inputs.front());
        const double n_columns = n_rows(value(op.outputs.front()).rows);  // of the last hidden states, those with logits
        if (n_columns <= 0) return;
        double hidden = 1.0;
        for (const model::WeightId id : op.weights) {
            const model::Weight& weight = program_.weights[id];
            const KernelRate rate = rate_of(weight, x.encoding, n_columns);
            price.compute_seconds += std::ceil(weight.n_rows / panel_rows()) * panel_rows() * weight.n_cols * rate.near_seconds;
            hidden = std::min(hidden, rate.hidden);
        }
        const auto columns = static_cast<std::uint32_t>(std::min(std::ceil(n_columns), 1e9));
        const double uneven = imbalance(op, split_linear(columns, n_threads_));
        price.compute_seconds *= uneven;
        price.memory_seconds = price.cost.weight_bytes / bandwidth_ * uneven;
        combine(price, hidden);
    }

    // As if tokens chose experts by chance: as many columns each.
    void price_experts(const Op& op, OpPrice& price) {
        const model::MoeConfig& moe = program_.config.moe;
        const double n_tokens = step_.n_tokens();
        if (n_tokens <= 0) return;
        const double n_read = roofline::expected_experts(moe.n_experts, moe.n_experts_used, n_tokens);
        const double n_columns = std::max(1.0, n_tokens * moe.n_experts_used / n_read);
        double hidden = 1.0;
        for (const model::WeightId id : op.weights) {
            const model::Weight& weight = program_.weights[id];
            const KernelRate rate = rate_of(weight, value(op.inputs.front()).encoding, n_columns);
            const double n_weights = std::ceil(weight.n_rows / panel_rows()) * panel_rows() * weight.n_cols;
            price.compute_seconds += n_read * n_weights * rate.near_seconds;
            hidden = std::min(hidden, rate.hidden);
        }
        // Each expert's panels are split as a matrix of few columns is, however many it has.
        const double uneven = imbalance(op, {.n_parts = n_threads_, .as_threads_come = false});
        price.compute_seconds *= uneven;
        price.memory_seconds = price.cost.weight_bytes / bandwidth_ * uneven;
        combine(price, hidden);
    }

    // ---- rows

    // What the busiest thread does of n rows.
    struct BusiestShare {
        double n_rows = 0.0;
        std::optional<double> n_columns;  // of each; none: all
    };
    [[nodiscard]] BusiestShare busiest(double n, std::optional<std::size_t> width) const {
        const auto n_rows = static_cast<std::size_t>(std::llround(std::min(n, 1e15)));
        BusiestShare most;
        for (unsigned thread = 0; thread < n_threads_; ++thread) {
            const RowShare share = share_of_rows(n_rows, width, thread, n_threads_);
            most.n_rows = std::max(most.n_rows, static_cast<double>(share.end - share.first));
            if (share.columns) most.n_columns = std::max(most.n_columns.value_or(0.0), static_cast<double>(share.columns->n));
        }
        return most;
    }

    double rows_seconds(const std::string& kind, const BusiestShare& share, double width) {
        const hardware::RowReading* reading = hardware::find_row(profile_, kind);
        if (reading == nullptr) {
            complete_ = false;
            return 0.0;
        }
        return share.n_rows * (reading->seconds_per_row + share.n_columns.value_or(width) * reading->seconds_per_element);
    }

    // An op on rows, or a part of one that is split as its whole is.
    double part_seconds(const Op& op, std::optional<std::size_t> width) {
        const auto out = [&]() -> const model::Value& { return value(op.outputs.front()); };
        const double n = n_rows(op.outputs.empty() ? value(op.inputs.front()).rows : out().rows);
        if (n <= 0) return 0.0;
        const BusiestShare share = busiest(n, width);
        switch (op.kind) {
            case OpKind::kEmbed:
                return rows_seconds(fmt::format("embed_{}", tensor::format_of(program_.weights[op.weights.front()].dtype).name), share,
                                    out().width);
            case OpKind::kRmsNorm: {
                // Heads that are normalised each by itself cost a row each.
                const double group = std::max(1U, std::get<model::NormOptions>(op.options).group);
                const double n_groups = std::max(1.0, out().width / group);
                return n_groups * rows_seconds("rms_norm", share, group);
            }
            case OpKind::kAddBias:
            case OpKind::kAdd:
            case OpKind::kAddExpertBias:
                return rows_seconds("add", share, out().width);
            case OpKind::kRope:
                return rows_seconds("rope", share, out().width);
            case OpKind::kKvAppend:
                // Each reading is of a key and a value.
                return 0.5 * (rows_seconds("store_" + options_.key_type, share, value(op.inputs.front()).width) +
                              rows_seconds("store_" + options_.value_type, share, value(op.inputs.front()).width));
            case OpKind::kGatedActivation:
                return rows_seconds(kernel_of(std::get<model::ActivationOptions>(op.options).activation), share, out().width);
            case OpKind::kSelectOutputs:
                return rows_seconds("copy", share, out().width);
            case OpKind::kSoftcap: {
                double most = 0.0;
                for (unsigned t = 0; t < n_threads_; ++t) {
                    most = std::max(most, static_cast<double>(share_of_columns(out().width, t, n_threads_).n));
                }
                return rows_seconds("softcap", {.n_rows = n, .n_columns = most}, out().width);
            }
            case OpKind::kRoute:
                return rows_seconds("route", share, value(op.inputs.front()).width);
            case OpKind::kCombineExperts:
                return rows_seconds("combine", share, static_cast<double>(out().width) * program_.config.moe.n_experts_used);
            case OpKind::kQuantize:
                return rows_seconds(out().encoding == model::Encoding::kQ16 ? "quantize_q16" : "quantize_q8", share, out().width);
            // Not run by this backend (runnable.h), or not on rows.
            case OpKind::kEmbedPosition:
            case OpKind::kLayerNorm:
            case OpKind::kLatentAppend:
            case OpKind::kActivation:
            case OpKind::kLinear:
            case OpKind::kLinearByHead:
            case OpKind::kExpertLinear:
            case OpKind::kAttention:
            case OpKind::kLatentAttention:
            case OpKind::kAttentionScores:
            case OpKind::kSoftmax:
            case OpKind::kAttentionValues:
            case OpKind::kObserve:
            case OpKind::kFusedRows:
                break;
        }
        complete_ = false;
        return 0.0;
    }

    static const char* kernel_of(model::Activation activation) {
        switch (activation) {
            case model::Activation::kSilu:
                return "silu";
            case model::Activation::kGeluTanh:
                return "gelu";
            case model::Activation::kSwigluClamped:
                return "swiglu";
        }
        return "";
    }

    // A key's elements lie in a line of 16 positions each, so writing one touches as many lines, which come from where the step's data
    // lies.
    double append_bytes(const Op& op) const {
        if (op.kind != OpKind::kKvAppend) return 0.0;
        double tiles = 0.0;
        for (const StepRows& rows : step_.rows) tiles += rows.n_sequences * std::ceil(rows.n_new / kCacheTile);
        const double width = value(op.inputs.front()).width;
        const double key_lines = width * kCacheTile * options_.cost.kv.key / kCacheLine;
        const double value_lines = width * options_.cost.kv.value / kCacheLine;
        return tiles * (key_lines + value_lines) * kCacheLine * 2;  // read, and written back
    }

    void price_rows(const Op& op, OpPrice& price) {
        double lines = append_bytes(op);
        const auto width = column_width(program_, op);
        if (op.kind == OpKind::kFusedRows) {
            for (const Op& part : op.parts) {
                price.compute_seconds += part_seconds(part, width);
                lines += append_bytes(part);
            }
        } else {
            price.compute_seconds = part_seconds(op, width);
        }
        // What a few tokens' rows take stays near; a long prompt's goes out to where it fits.
        const double near_bytes = profile_.caches.size() > 1 ? profile_.caches[1].size_bytes : 0.0;
        const double far = price.cost.activation_bytes > near_bytes ? price.cost.activation_bytes : 0.0;
        price.memory_seconds = lines / bandwidth_ + far / hardware::bandwidth_at(profile_, 2 * price.cost.activation_bytes, n_threads_);
        combine(price, 0.0);
    }

    // ---- between ops

    [[nodiscard]] double overhead_seconds(const Op& op) const {
        if (n_threads_ < 2) return 0.0;
        double bytes = 0.0;
        for (const model::ValueId id : op.inputs) {
            const model::Value& v = value(id);
            const double rows = n_rows(v.rows);
            // Of many rows each thread wrote its share.
            const double remote = rows >= n_threads_ ? (n_threads_ - 1.0) / n_threads_ : 1.0;
            // Row-local ops need only their own rows, most of which the same thread made.
            if (v.width == 0) bytes += score_bytes(op) * remote / n_threads_;  // of a row's width there is nothing else to say
            const bool reads_all = op.kind == OpKind::kLinear || op.kind == OpKind::kLinearByHead || op.kind == OpKind::kExpertLinear;
            bytes += rows * static_cast<double>(model::row_bytes(v)) * (reads_all ? remote : remote / n_threads_);
        }
        return profile_.handover_seconds + bytes * profile_.handover_seconds_per_byte;
    }

    const Program& program_;
    const Step& step_;
    const Profile& profile_;
    const PriceOptions& options_;
    const unsigned n_threads_;
    double working_set_bytes_ = 0.0;
    double bandwidth_ = 1.0;
    double roof_ = 1.0;
    bool complete_ = true;
    std::map<std::vector<std::uint32_t>, double> imbalances_;  // by the matrices' shapes and the number of parts
};

}  // namespace

StepPrice price_step(const Program& program, const Step& step, const Profile& profile, const PriceOptions& options) {
    return Pricer(program, step, profile, options).price();
}

}  // namespace rafter::backend::cpu
