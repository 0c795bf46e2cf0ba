// One case for each kind of op, as in op_cost.h; the constants that say how the CPU backend splits work are its own (cpu_ops.cpp,
// attention_step.cpp).
#include "roofline/calibrated.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "roofline/calibrated_attention.h"
#include "tensor/formats/formats.h"

namespace rafter::roofline {
namespace {

using hardware::Profile;
using model::Op;
using model::OpKind;
using model::Program;
using model::RowKind;

constexpr double kPanelRows = 16.0;
constexpr double kManyColumns = 16.0;  // from here on parts of a matrix are taken as threads come
constexpr double kPartsPerThread = 8.0;
constexpr double kCacheLine = 64.0;
// Of the smaller of computing and reading: at worst one follows the other. What a reading shows beyond that is the machine's noise.
constexpr double kMaxVisible = 1.0;

class Pricer {
  public:
    Pricer(const Program& program, const Step& step, const Profile& profile, const PriceOptions& options)
        : program_(program), step_(step), profile_(profile), options_(options), n_threads_(profile.key.n_threads) {}

    StepPrice price() {
        StepPrice result;
        for (const Op& op : program_.ops) result.ops.push_back({.cost = op_cost(program_, op, step_, options_.cost)});
        for (const OpPrice& op : result.ops) result.working_set_bytes += op.cost.read_bytes();
        working_set_bytes_ = result.working_set_bytes;
        bandwidth_ = hardware::bandwidth_at(profile_, working_set_bytes_, n_threads_);
        roof_ = hardware::best_bandwidth_at(profile_, working_set_bytes_, n_threads_);
        result.bandwidth_bytes_per_s = bandwidth_;
        result.roof_bytes_per_s = roof_;
        result.level = hardware::level_at(profile_, working_set_bytes_);
        for (std::size_t i = 0; i < program_.ops.size(); ++i) {
            price_op(program_.ops[i], result.ops[i]);
            result.seconds += result.ops[i].seconds;
        }
        double n_angles = 0.0;
        for (const model::RopeTable& table : program_.config.rope_tables) n_angles += static_cast<double>(table.inverse_frequency.size());
        result.fixed_seconds = profile_.fork_join_seconds + rows_seconds("angles", step_.n_tokens(), n_angles);
        result.seconds += result.fixed_seconds;
        result.complete = complete_;
        return result;
    }

  private:
    [[nodiscard]] double n_rows(RowKind kind) const {
        switch (kind) {
            case RowKind::kTokens:
                return step_.n_tokens();
            case RowKind::kOutputs:
                return step_.n_outputs();
            case RowKind::kSlots:
                return step_.n_tokens() * program_.config.moe.n_experts_used;
        }
        return 0.0;
    }
    [[nodiscard]] const model::Value& value(model::ValueId id) const { return program_.values[id]; }

    void price_op(const Op& op, OpPrice& price) {
        switch (op.kind) {
            case OpKind::kLinear:
                price_linear(op, price);
                break;
            case OpKind::kExpertLinear:
                price_experts(op, price);
                break;
            case OpKind::kAttention: {
                const AttentionPrice attention =
                    price_attention(std::get<model::AttentionOptions>(op.options), step_, profile_, options_.key_type, options_.value_type);
                complete_ = complete_ && attention.complete;
                price.compute_seconds = attention.compute_seconds;
                price.memory_seconds = price.cost.kv_read_bytes / bandwidth_;
                combine(price, attention.hidden);
                break;
            }
            default:
                price_rows(op, price);
                break;
        }
        price.overhead_seconds += overhead_seconds(op);
        price.seconds += price.overhead_seconds;
        const bool in_bytes = !op.inputs.empty() && value(op.inputs.front()).encoding != model::Encoding::kF32;
        const double peak = in_bytes ? profile_.int8_flop_per_s : profile_.float_flop_per_s;
        price.roof_seconds = std::max(price.cost.read_bytes() / roof_, price.cost.flops / peak);
        const double most = std::max({price.compute_seconds, price.memory_seconds, price.overhead_seconds});
        price.bound = most == price.overhead_seconds ? PriceBound::kOverhead
                      : most == price.memory_seconds ? PriceBound::kMemory
                                                     : PriceBound::kCompute;
    }

    static void combine(OpPrice& price, double hidden) {
        price.seconds =
            std::max(price.compute_seconds, price.memory_seconds) + (1.0 - hidden) * std::min(price.compute_seconds, price.memory_seconds);
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

    // How much longer the busiest thread works than the average one: of a static split, a whole panel more; of parts that threads take as
    // they come, half a part.
    [[nodiscard]] double imbalance(double n_panels, double n_columns) const {
        if (n_threads_ < 2 || n_panels <= 0) return 1.0;
        const double even = n_panels / n_threads_;
        if (n_columns < kManyColumns) return std::ceil(even) / even;
        const double part = std::max(1.0, even / kPartsPerThread);
        return (even + 0.5 * part) / even;
    }

    void price_linear(const Op& op, OpPrice& price) {
        const model::Value& x = value(op.inputs.front());
        const double n_columns = n_rows(x.rows);
        if (n_columns <= 0) return;
        double n_panels = 0.0;
        double hidden = 1.0;
        for (const model::WeightId id : op.weights) {
            const model::Weight& weight = program_.weights[id];
            const double panels = std::ceil(weight.n_rows / kPanelRows);
            const KernelRate rate = rate_of(weight, x.encoding, n_columns);
            n_panels += panels;
            price.compute_seconds += panels * kPanelRows * weight.n_cols * rate.near_seconds;
            hidden = std::min(hidden, rate.hidden);
        }
        const double uneven = imbalance(n_panels, n_columns);
        price.compute_seconds *= uneven;
        price.memory_seconds = price.cost.weight_bytes / bandwidth_ * uneven;
        combine(price, hidden);
    }

    // As if tokens chose experts by chance: as many columns each.
    void price_experts(const Op& op, OpPrice& price) {
        const model::MoeConfig& moe = program_.config.moe;
        const double n_tokens = step_.n_tokens();
        if (n_tokens <= 0) return;
        const double n_read = expected_experts(moe.n_experts, moe.n_experts_used, n_tokens);
        const double n_columns = std::max(1.0, n_tokens * moe.n_experts_used / n_read);
        double hidden = 1.0;
        for (const model::WeightId id : op.weights) {
            const model::Weight& weight = program_.weights[id];
            const KernelRate rate = rate_of(weight, value(op.inputs.front()).encoding, n_columns);
            price.compute_seconds += n_read * weight.n_rows * weight.n_cols * rate.near_seconds;
            hidden = std::min(hidden, rate.hidden);
        }
        price.memory_seconds = price.cost.weight_bytes / bandwidth_;
        combine(price, hidden);
    }

    // ---- rows

    // n rows of so many elements, split over the threads row by row.
    double rows_seconds(const std::string& kind, double n, double width) {
        const hardware::RowReading* reading = hardware::find_row(profile_, kind);
        if (reading == nullptr) {
            complete_ = false;
            return 0.0;
        }
        return std::ceil(n / n_threads_) * (reading->seconds_per_row + width * reading->seconds_per_element);
    }

    double part_seconds(const Op& op) {
        const auto out = [&]() -> const model::Value& { return value(op.outputs.front()); };
        const double n = n_rows(op.outputs.empty() ? value(op.inputs.front()).rows : out().rows);
        if (n <= 0) return 0.0;
        switch (op.kind) {
            case OpKind::kEmbed:
                return rows_seconds(fmt::format("embed_{}", tensor::format_of(program_.weights[op.weights.front()].dtype).name), n,
                                    out().width);
            case OpKind::kRmsNorm: {
                // Heads that are normalised each by itself cost a row each.
                const double group = std::max(1U, std::get<model::NormOptions>(op.options).group);
                const double n_groups = std::max(1.0, out().width / group);
                return n_groups * rows_seconds("rms_norm", n, group);
            }
            case OpKind::kAddBias:
            case OpKind::kAdd:
            case OpKind::kAddExpertBias:
                return rows_seconds("add", n, out().width);
            case OpKind::kRope:
                return rows_seconds("rope", n, out().width);
            case OpKind::kKvAppend:
                // Each reading is of a key and a value.
                return 0.5 * (rows_seconds("store_" + options_.key_type, n, value(op.inputs.front()).width) +
                              rows_seconds("store_" + options_.value_type, n, value(op.inputs.front()).width));
            case OpKind::kGatedActivation: {
                const model::Activation activation = std::get<model::ActivationOptions>(op.options).activation;
                const char* kind = activation == model::Activation::kSilu       ? "silu"
                                   : activation == model::Activation::kGeluTanh ? "gelu"
                                                                                : "swiglu";
                return rows_seconds(kind, n, out().width);
            }
            case OpKind::kSelectOutputs:
                return rows_seconds("copy", n, out().width);
            case OpKind::kSoftcap:  // by columns
                return rows_seconds("softcap", 1, out().width * n / n_threads_);
            case OpKind::kRoute:
                return rows_seconds("route", n, value(op.inputs.front()).width);
            case OpKind::kCombineExperts:
                return rows_seconds("combine", n, static_cast<double>(out().width) * program_.config.moe.n_experts_used);
            case OpKind::kQuantize:
                return rows_seconds(out().encoding == model::Encoding::kQ16 ? "quantize_q16" : "quantize_q8", n, out().width);
            default:
                complete_ = false;
                return 0.0;
        }
    }

    // A key's elements lie in a line of 16 positions each, so writing one touches as many lines, which come from where the step's data
    // lies.
    double append_bytes(const Op& op) const {
        if (op.kind != OpKind::kKvAppend) return 0.0;
        double tiles = 0.0;
        for (const StepRows& rows : step_.rows) tiles += rows.n_sequences * std::ceil(rows.n_new / kPanelRows);
        const double width = value(op.inputs.front()).width;
        const double key_lines = width * kPanelRows * options_.cost.kv.key / kCacheLine;
        const double value_lines = width * options_.cost.kv.value / kCacheLine;
        return tiles * (key_lines + value_lines) * kCacheLine * 2;  // read, and written back
    }

    void price_rows(const Op& op, OpPrice& price) {
        double lines = append_bytes(op);
        if (op.kind == OpKind::kFusedRows) {
            for (const Op& part : op.parts) {
                price.compute_seconds += part_seconds(part);
                lines += append_bytes(part);
            }
        } else {
            price.compute_seconds = part_seconds(op);
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
            const double element = v.encoding == model::Encoding::kF32 ? 4.0 : v.encoding == model::Encoding::kQ8 ? 1.375 : 2.375;
            // Row-local ops need only their own rows, most of which the same thread made.
            const bool reads_all = op.kind == OpKind::kLinear || op.kind == OpKind::kExpertLinear;
            bytes += rows * v.width * element * (reads_all ? remote : remote / n_threads_);
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
};

}  // namespace

const char* to_string(PriceBound bound) {
    switch (bound) {
        case PriceBound::kMemory:
            return "memory";
        case PriceBound::kCompute:
            return "compute";
        case PriceBound::kOverhead:
            return "overhead";
    }
    return "?";
}

StepPrice price_step(const Program& program, const Step& step, const Profile& profile, const PriceOptions& options) {
    return Pricer(program, step, profile, options).price();
}

}  // namespace rafter::roofline
