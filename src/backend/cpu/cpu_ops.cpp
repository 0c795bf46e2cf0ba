// The ops of a program, one thread's share of each. Which thread does what never changes a result.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "backend/cpu/cpu_model.h"
#include "backend/cpu/route.h"
#include "base/check.h"

namespace rafter::backend::cpu {

using model::Op;
using model::OpKind;

std::size_t CpuModel::rows_in_step(model::RowKind kind) const {
    switch (kind) {
        case model::RowKind::kTokens:
            return batch_->tokens.size();
        case model::RowKind::kHidden:
            return batch_->output_rows.size() + batch_->hidden_rows.size();
        case model::RowKind::kOutputs:
            return batch_->output_rows.size();
        case model::RowKind::kSlots:
            return batch_->tokens.size() * program_.config.moe.n_experts_used;
    }
    return 0;
}

void CpuModel::run_op(const Op& op, PreparedOp& prepared, unsigned thread) {
    switch (op.kind) {
        case OpKind::kLinear:
            return run_linear(op, prepared, thread);
        case OpKind::kExpertLinear:
            return run_experts(op, prepared, thread);
        case OpKind::kAttention:
            return run_attention_op(op, prepared, thread);
        case OpKind::kAttentionScores:
        case OpKind::kSoftmax:
        case OpKind::kAttentionValues:
            return run_unfused_op(op, prepared, thread);
        case OpKind::kSoftcap:
            return run_softcap(op, thread);
        case OpKind::kObserve:
            return run_observe(op, prepared, thread);
        case OpKind::kEmbed:
        case OpKind::kRmsNorm:
        case OpKind::kAddBias:
        case OpKind::kRope:
        case OpKind::kKvAppend:
        case OpKind::kAdd:
        case OpKind::kGatedActivation:
        case OpKind::kSelectOutputs:
        case OpKind::kRoute:
        case OpKind::kAddExpertBias:
        case OpKind::kCombineExperts:
        case OpKind::kQuantize:
        case OpKind::kFusedRows:
            return run_rows(op, prepared, thread);
        case OpKind::kEmbedPosition:
        case OpKind::kLayerNorm:
        case OpKind::kLinearByHead:
        case OpKind::kLatentAppend:
        case OpKind::kLatentAttention:
        case OpKind::kActivation:
            break;
    }
    RAFTER_CHECK(false, "{}: {} was let through by check_runnable()", op.name, model::to_string(op.kind));
}

// ---- matrices

std::uint32_t CpuModel::min_tile_columns(tensor::DType weights) const {
    const auto reading = std::ranges::find(tiles_, weights, &hardware::TileReading::weights);
    return reading == tiles_.end() ? kMinTileColumns : reading->min_columns;
}

void CpuModel::run_panels(PackedMatrix matrix, const ValuePlace& out, PanelRange panels, LinearTask& task) {
    if (panels.first >= panels.last) return;
    task.weights = matrix;
    task.output = out.floats(0);
    task.output_stride = out.stride_floats();
    task.first_panel = panels.first;
    task.last_panel = panels.last;
    task.min_tile_columns = min_tile_columns(matrix.dtype);
    linear_.run(task);
}

void CpuModel::run_linear(const Op& op, PreparedOp& prepared, unsigned thread) {
    const model::ValueId x = op.inputs.front();
    LinearTask task;
    task.encoding = value(x).encoding;
    task.input = places_[x].data;
    task.input_stride_bytes = places_[x].stride_bytes;
    task.n_columns = static_cast<std::uint32_t>(rows_in_step(value(op.outputs.front()).rows));  // the head's input may have more
    task.fetch = weight_fetch_;
    task.scratch = threads_[thread].linear_scratch;
    if (task.n_columns == 0) return;
    const LinearSplit split = split_linear(task.n_columns, pool_.n_threads());
    if (!split.as_threads_come) {
        for (std::size_t i = 0; i < op.weights.size(); ++i) {
            run_panels(prepared.matrices[i], places_[op.outputs[i]], prepared.shares[thread][i], task);
        }
        return;
    }
    for (;;) {
        const std::uint32_t part = prepared.next_part->fetch_add(1, std::memory_order_relaxed);
        if (part >= split.n_parts) return;
        for (std::size_t i = 0; i < op.weights.size(); ++i) {
            run_panels(prepared.matrices[i], places_[op.outputs[i]], share_of(prepared.matrices, i, part, split.n_parts), task);
        }
    }
}

std::uint32_t CpuModel::expert_of(model::ValueId routing, std::size_t slot) const {
    const std::size_t k = program_.config.moe.n_experts_used;
    return static_cast<std::uint32_t>(places_[routing].floats(slot / k)[slot % k]);
}

// Counting sort, stable: an expert's slots stay in order.
const ExpertGroups& CpuModel::group_slots(model::ValueId routing, std::uint32_t n_experts, ExpertGroups& groups) const {
    if (groups.valid && groups.routing == routing) return groups;
    const std::size_t n_slots = rows_in_step(model::RowKind::kSlots);
    groups.routing = routing;
    groups.valid = true;
    groups.first.assign(n_experts + 1, 0);
    groups.slots.resize(n_slots);
    groups.tokens.resize(n_slots);
    for (std::size_t slot = 0; slot < n_slots; ++slot) ++groups.first[expert_of(routing, slot) + 1];
    for (std::uint32_t e = 0; e < n_experts; ++e) groups.first[e + 1] += groups.first[e];
    for (std::size_t slot = n_slots; slot-- > 0;) {
        // Filled from behind, so that first[e + 1] ends as the beginning of e.
        const std::uint32_t at = --groups.first[expert_of(routing, slot) + 1];
        groups.slots[at] = static_cast<std::uint32_t>(slot);
        groups.tokens[at] = static_cast<std::uint32_t>(slot / program_.config.moe.n_experts_used);
    }
    std::rotate(groups.first.begin(), groups.first.begin() + 1, groups.first.end());
    groups.first.back() = static_cast<std::uint32_t>(n_slots);
    return groups;
}

// Every thread has its share of each expert's rows; experts that no token chose are not read.
void CpuModel::run_experts(const Op& op, const PreparedOp& prepared, unsigned thread) {
    const model::ValueId x = op.inputs[0];
    const std::uint32_t n_experts = program_.weights[op.weights.front()].n_experts;
    const ExpertGroups& groups = group_slots(op.inputs[1], n_experts, threads_[thread].experts);
    LinearTask task;
    task.encoding = value(x).encoding;
    task.input = places_[x].data;
    task.input_stride_bytes = places_[x].stride_bytes;
    task.fetch = weight_fetch_;
    task.scratch = threads_[thread].linear_scratch;
    const std::uint32_t* const input_rows = value(x).rows == model::RowKind::kSlots ? groups.slots.data() : groups.tokens.data();
    for (std::uint32_t e = 0; e < n_experts; ++e) {
        task.n_columns = groups.first[e + 1] - groups.first[e];
        if (task.n_columns == 0) continue;
        task.input_rows = input_rows + groups.first[e];
        task.output_rows = groups.slots.data() + groups.first[e];
        for (std::size_t i = 0; i < op.weights.size(); ++i) {
            run_panels(weights_->expert(op.weights[i], e), places_[op.outputs[i]], prepared.shares[thread][i], task);
        }
    }
}

// ---- attention

void CpuModel::run_attention_op(const Op& op, PreparedOp& prepared, unsigned thread) {
    const auto& options = std::get<model::AttentionOptions>(op.options);
    const ValuePlace& q = places_[op.inputs[0]];
    const ValuePlace& y = places_[op.outputs[0]];
    const AttentionCall call{.batch = *batch_,
                             .options = options,
                             .layer = cache_.layer(options.layer),
                             .kernels = attention_,
                             .q = q.floats(0),
                             .q_stride = q.stride_floats(),
                             .y = y.floats(0),
                             .y_stride = y.stride_floats(),
                             .sinks = op.weights.empty() ? nullptr : weights_->vector(op.weights.front())};
    run_attention(call, plans_[prepared.group], attention_scratch_, thread, *prepared.attention);
}

void CpuModel::run_unfused_op(const Op& op, PreparedOp& prepared, unsigned thread) {
    const auto& options = std::get<model::AttentionOptions>(op.options);
    const ValuePlace& scores = places_[op.kind == OpKind::kAttentionScores ? op.outputs[0] : op.inputs[0]];
    const UnfusedCall call{.batch = *batch_,
                           .options = options,
                           .layer = cache_.layer(options.layer),
                           .kernels = attention_,
                           .scores = scores.floats(0),
                           .row_stride = scores.stride_floats(),
                           .head_stride = model::padded_positions(limits_.n_positions)};
    const UnfusedPlan& plan = unfused_plans_[prepared.group];
    if (op.kind == OpKind::kAttentionScores) {
        const ValuePlace& q = places_[op.inputs[0]];
        run_scores(call, plan, q.floats(0), q.stride_floats(), attention_scratch_, thread, *prepared.attention);
    } else if (op.kind == OpKind::kSoftmax) {
        run_softmax(call, plan, op.weights.empty() ? nullptr : weights_->vector(op.weights.front()), *prepared.attention);
    } else {
        const ValuePlace& y = places_[op.outputs[0]];
        run_values(call, plan, y.floats(0), y.stride_floats(), attention_scratch_, thread, *prepared.attention);
    }
}

// ---- rows

void CpuModel::run_rows(const Op& op, const PreparedOp& prepared, unsigned thread) {
    const std::span<const Op> parts = op.kind == OpKind::kFusedRows ? std::span<const Op>(op.parts) : std::span(&op, 1);
    const Op& first = parts.front();
    const model::RowKind rows = value(first.outputs.empty() ? first.inputs.front() : first.outputs.front()).rows;
    const RowShare share = share_of_rows(rows_in_step(rows), prepared.column_width, thread, pool_.n_threads());
    for (std::size_t row = share.first; row < share.end; ++row) {
        for (const Op& part : parts) {
            run_row(part, row, share.columns.value_or(Columns{.n = part.outputs.empty() ? 0 : value(part.outputs.front()).width}));
        }
    }
}

// By columns: its rows are few and as long as the vocabulary.
void CpuModel::run_softcap(const Op& op, unsigned thread) {
    const std::size_t width = value(op.outputs[0]).width;
    const auto [begin, n] = share_of_columns(width, thread, pool_.n_threads());
    const float cap = std::get<model::SoftcapOptions>(op.options).cap;
    for (std::size_t row = 0; row < rows_in_step(value(op.outputs[0]).rows); ++row) {
        rows_.softcap(places_[op.inputs[0]].floats(row) + begin, cap, n, places_[op.outputs[0]].floats(row) + begin);
    }
}

// By columns too: each sum is one thread's, which adds the rows in their order. In double, where the square of a float is exact.
void CpuModel::run_observe(const Op& op, PreparedOp& prepared, unsigned thread) {
    const model::Value& x = value(op.inputs[0]);
    const bool routed = op.inputs.size() > 1;
    const std::size_t k = routed ? program_.config.moe.n_experts_used : 1;
    const std::size_t rows_per_input = routed && x.rows != model::RowKind::kSlots ? k : 1;  // slots of a token share its row
    const std::size_t n_rows = rows_in_step(routed ? model::RowKind::kSlots : x.rows);
    const Columns columns = share_of_columns(x.width, thread, pool_.n_threads());
    ObservedInputs& observed = *prepared.observed;
    for (std::size_t row = 0; row < n_rows; ++row) {
        const std::size_t matrix = routed ? expert_of(op.inputs[1], row) : 0;
        const float* const from = places_[op.inputs[0]].floats(row / rows_per_input) + columns.first;
        double* const sums = observed.sum_squares.data() + matrix * x.width + columns.first;
        for (std::size_t c = 0; c < columns.n; ++c) sums[c] += double{from[c]} * double{from[c]};
        if (thread == 0) ++observed.n_rows[matrix];
    }
    if (!observed.moments.empty()) add_moments(op, observed, thread);
}

// By groups of columns, for the same reason.
void CpuModel::add_moments(const Op& op, ObservedInputs& observed, unsigned thread) {
    static_assert(kMomentScratchBytes <= kLinearScratchBytes);
    const model::Value& x = value(op.inputs[0]);
    const auto& options = std::get<model::ObserveOptions>(op.options);
    const ValuePlace& place = places_[op.inputs[0]];
    MomentRows rows{.values = place.floats(0), .stride = place.stride_floats(), .index = nullptr, .n_rows = 0, .n_cols = x.width};
    for (std::uint32_t m = 0; m < observed.moments.size(); ++m) {
        if (op.inputs.size() > 1) {
            const std::uint32_t expert = options.first_moments + m;
            const ExpertGroups& groups = group_slots(op.inputs[1], options.n_matrices, threads_[thread].experts);
            rows.index = (x.rows == model::RowKind::kSlots ? groups.slots : groups.tokens).data() + groups.first[expert];
            rows.n_rows = groups.first[expert + 1] - groups.first[expert];
        } else {
            rows.n_rows = rows_in_step(x.rows);
            if (options.first_position_counts > 1) add_first_positions(op, rows, observed.moments[m], thread);
        }
        feedback_.add_moments(rows, {.thread = thread, .n_threads = pool_.n_threads()}, threads_[thread].linear_scratch,
                              observed.moments[m].data());
    }
}

// Before all rows of a step, so that the sums are the same however a text is cut into steps.
void CpuModel::add_first_positions(const Op& op, MomentRows rows, std::vector<float>& moments, unsigned thread) {
    const std::uint32_t counts = std::get<model::ObserveOptions>(op.options).first_position_counts;
    rows.scale = std::sqrt(static_cast<float>(counts - 1));
    const std::size_t n_rows = std::exchange(rows.n_rows, 1);
    for (std::size_t row = 0; row < n_rows; ++row) {
        if (batch_->positions[row] != 0) continue;
        rows.values = places_[op.inputs[0]].floats(row);
        feedback_.add_moments(rows, {.thread = thread, .n_threads = pool_.n_threads()}, threads_[thread].linear_scratch, moments.data());
    }
}

void CpuModel::run_row(const Op& op, std::size_t row, Columns columns) {
    const auto in = [&](std::size_t i) { return places_[op.inputs[i]].floats(row); };
    const auto out = [&] { return places_[op.outputs[0]].floats(row); };
    const std::size_t c = columns.first;
    const auto width = [&] { return std::size_t{value(op.outputs[0]).width}; };
    switch (op.kind) {
        case OpKind::kEmbed:
            return embed(op, row);
        case OpKind::kRmsNorm: {
            const auto& options = std::get<model::NormOptions>(op.options);
            return rows_.rms_norm(in(0), weights_->vector(op.weights[0]), width(), options.group, options.epsilon, out());
        }
        case OpKind::kAddBias:
            return rows_.add(in(0) + c, weights_->vector(op.weights[0]) + c, columns.n, out() + c);
        case OpKind::kRope:
            return rope(op, row);
        case OpKind::kKvAppend:
            return append_to_cache(op, row);
        case OpKind::kAdd:
            return rows_.add(in(0) + c, in(1) + c, columns.n, out() + c);
        case OpKind::kGatedActivation: {
            const model::Activation activation = std::get<model::ActivationOptions>(op.options).activation;
            return rows_.gate(activation, in(0) + c, in(1) + c, columns.n, out() + c);
        }
        case OpKind::kSelectOutputs: {
            const std::size_t n_outputs = batch_->output_rows.size();
            const std::uint32_t from = row < n_outputs ? batch_->output_rows[row] : batch_->hidden_rows[row - n_outputs];
            std::memcpy(out(), places_[op.inputs[0]].floats(from), width() * sizeof(float));
            return;
        }
        case OpKind::kSoftcap:
            return rows_.softcap(in(0), std::get<model::SoftcapOptions>(op.options).cap, width(), out());
        case OpKind::kRoute:
            return route(in(0), value(op.inputs[0]).width, std::get<model::RouteOptions>(op.options), out());
        case OpKind::kAddExpertBias:
            return add_expert_bias(op, row);
        case OpKind::kCombineExperts: {
            const std::size_t k = program_.config.moe.n_experts_used;
            const ValuePlace& x = places_[op.inputs[0]];
            return rows_.combine(x.floats(row * k), x.stride_floats(), places_[op.inputs[1]].floats(row) + k, k, width(), out());
        }
        case OpKind::kQuantize:
            return quantize(op, row, columns);
        case OpKind::kLinear:
        case OpKind::kLinearByHead:
        case OpKind::kExpertLinear:
        case OpKind::kAttention:
        case OpKind::kLatentAttention:
        case OpKind::kAttentionScores:
        case OpKind::kSoftmax:
        case OpKind::kAttentionValues:
        case OpKind::kFusedRows:
        case OpKind::kObserve:
        case OpKind::kEmbedPosition:
        case OpKind::kLayerNorm:
        case OpKind::kLatentAppend:
        case OpKind::kActivation:
            break;
    }
    RAFTER_CHECK(false, "{}: {} was let through by check_runnable()", op.name, model::to_string(op.kind));
}

void CpuModel::quantize(const Op& op, std::size_t row, Columns columns) {
    const model::Encoding encoding = value(op.outputs[0]).encoding;
    const std::size_t block_bytes = encoding == model::Encoding::kQ16 ? sizeof(model::QuantizedBlock16) : sizeof(model::QuantizedBlock);
    std::byte* const out = places_[op.outputs[0]].row(row) + columns.first / kColumnBlock * block_bytes;
    linear_.quantize(places_[op.inputs[0]].floats(row) + columns.first, columns.n, encoding, out);
}

void CpuModel::embed(const Op& op, std::size_t row) {
    const PackedMatrix& table = weights_->matrix(op.weights[0]);
    const auto token = static_cast<std::uint32_t>(batch_->tokens[row]);
    RAFTER_CHECK(token < table.n_rows, "token {} of {}", batch_->tokens[row], table.n_rows);
    float* const y = places_[op.outputs[0]].floats(row);
    decode_row(table, token, y);
    const float scale = std::get<model::EmbedOptions>(op.options).scale;
    if (scale != 1.0F) rows_.scale(y, scale, table.n_cols, y);
}

void CpuModel::rope(const Op& op, std::size_t row) {
    const auto& options = std::get<model::RopeOptions>(op.options);
    const model::RopeTable& table = program_.config.rope_tables[options.table];
    const std::size_t n_dims = 2 * table.inverse_frequency.size();
    rows_.rope(table.pairing, places_[op.inputs[0]].floats(row), rope_[options.table].data() + row * n_dims, n_dims, options.head_dim,
               value(op.inputs[0]).width / options.head_dim, places_[op.outputs[0]].floats(row));
}

void CpuModel::append_to_cache(const Op& op, std::size_t row) {
    const KvLayer& layer = cache_.layer(std::get<model::CacheOptions>(op.options).layer);
    const auto& table = batch_->sequences[sequence_of_row_[row]].block_tables[layer.group];
    const std::size_t position = batch_->positions[row];
    const std::size_t head_dim = program_.config.head_dim;
    for (std::uint32_t h = 0; h < program_.config.n_kv_heads; ++h) {
        const std::size_t tile = position / kTilePositions;
        const std::size_t lane = position % kTilePositions;
        rows_.store_key(places_[op.inputs[0]].floats(row) + h * head_dim, head_dim, layer.key_type, lane, layer.key_tile(table, h, tile));
        rows_.store_value(places_[op.inputs[1]].floats(row) + h * head_dim, head_dim, layer.value_type, lane,
                          layer.value_tile(table, h, tile));
    }
}

void CpuModel::add_expert_bias(const Op& op, std::size_t row) {
    const float* const bias = weights_->vector(op.weights[0], expert_of(op.inputs[1], row));
    rows_.add(places_[op.inputs[0]].floats(row), bias, value(op.outputs[0]).width, places_[op.outputs[0]].floats(row));
}

}  // namespace rafter::backend::cpu
