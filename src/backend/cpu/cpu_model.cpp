// Loading, and the frame of a step: what one thread prepares, the walk over the ops, and the output.
#include "backend/cpu/cpu_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/runnable.h"
#include "base/check.h"
#include "base/clock.h"

namespace rafter::backend::cpu {

namespace {

model::RowLimits row_limits(const StepLimits& limits) {
    return {.n_tokens = limits.n_tokens, .n_outputs = limits.n_outputs, .n_positions = limits.n_positions};
}

}  // namespace

MemoryUse memory_to_load(const model::Program& program, StepLimits limits, const KvCacheOptions& options) {
    MemoryUse use{.weights_bytes = CpuWeights::needed_bytes(program),
                  .workspace_bytes = model::plan_workspace(program, row_limits(limits)).size_bytes};
    for (const model::Op& op : program.ops) {
        const auto* observe = std::get_if<model::ObserveOptions>(&op.options);
        if (observe == nullptr) continue;
        const std::size_t width = program.values[op.inputs.front()].width;
        use.workspace_bytes +=
            observe->n_matrices * (width + 1) * sizeof(double) + observe->n_moments * moments_size(width) * sizeof(float);
    }
    const std::size_t n_groups = std::min(options.n_blocks.size(), program.cache_groups.size());
    for (std::size_t g = 0; g < n_groups; ++g) use.cache_bytes += options.n_blocks[g] * kv_block_bytes(program, options, g);
    return use;
}

namespace {

// All that will be taken, held against what there is, before any of it is.
Result<void> check_memory(const MemoryUse& use) {
    const std::size_t all = use.weights_bytes + use.cache_bytes + use.workspace_bytes;
    const MemoryState memory = read_memory_state();
    if (memory.available_bytes == 0 || all <= memory.available_bytes) return {};
    return Error{fmt::format("expected {} of free memory (weights {}, KV cache {}, workspace {}), found {} of {}", format_bytes(all),
                             format_bytes(use.weights_bytes), format_bytes(use.cache_bytes), format_bytes(use.workspace_bytes),
                             format_bytes(memory.available_bytes), format_bytes(memory.total_bytes)),
                 ErrorKind::kOutOfMemory};
}

}  // namespace

CpuModel::CpuModel(ThreadPool& pool, Isa isa, const LinearKernels& linear)
    : pool_(pool),
      isa_(isa),
      rows_(row_kernels(isa)),
      linear_(linear),
      attention_(attention_kernels(isa)),
      feedback_(feedback_kernels(isa)) {}

Result<std::unique_ptr<DeviceModel>> CpuModel::load(model::Program program, const files::TensorSource& source, const LoadOptions& options,
                                                    ThreadPool& pool, Isa isa, const LinearKernels* linear) {
    std::unique_ptr<CpuModel> loaded(new CpuModel(pool, isa, linear != nullptr ? *linear : linear_kernels(isa)));
    if (auto done = loaded->set_up(std::move(program), source, options); !done) return done.error().within(source.name());
    return std::unique_ptr<DeviceModel>(std::move(loaded));
}

Result<void> CpuModel::set_up(model::Program program, const files::TensorSource& source, const LoadOptions& options) {
    RAFTER_TRY_VOID(check_runnable(program));
    program_ = std::move(program);
    limits_ = options.limits;
    if (model::has_scores(program_) && limits_.n_positions == 0) {
        return bad_input("n_positions: expected the positions of the longest sequence, for unfused attention's scores, found 0");
    }
    const std::uint32_t n_vocab = value(program_.logits).width;
    const std::size_t thread_bytes = kLinearScratchBytes + RowScratch::size_bytes(n_vocab);
    MemoryUse use = memory_to_load(program_, limits_, options.cache);
    use.workspace_bytes += pool_.n_threads() * thread_bytes;
    if (options.weights_of != nullptr) {
        share_weights(*options.weights_of);
        use.weights_bytes = 0;
    }
    RAFTER_TRY_VOID(check_memory(use));
    RAFTER_TRY(cache_, KvStore::create(program_, options.cache));
    RAFTER_TRY(attention_scratch_, AttentionScratch::create(program_.config, cache_.max_positions(), pool_.n_threads()));

    const model::WorkspacePlan plan = model::plan_workspace(program_, row_limits(limits_));
    const std::size_t values_bytes = (plan.size_bytes + 63) / 64 * 64;
    RAFTER_TRY(workspace_, PageBuffer::allocate(values_bytes + pool_.n_threads() * thread_bytes, "workspace"));
    for (model::ValueId id = 0; id < program_.values.size(); ++id) {
        places_.push_back(
            {workspace_.data() + plan.offset_bytes[id], model::row_bytes(program_, program_.values[id], row_limits(limits_))});
    }
    threads_.resize(pool_.n_threads());
    for (std::size_t t = 0; t < threads_.size(); ++t) {
        std::byte* const own = workspace_.data() + values_bytes + t * thread_bytes;
        threads_[t].linear_scratch = own;
        threads_[t].rows = RowScratch::in(own + kLinearScratchBytes, n_vocab);
    }
    if (options.weights_of == nullptr) {
        RAFTER_TRY(CpuWeights weights, CpuWeights::load(program_, source, pool_, options));
        weights_ = std::make_shared<const CpuWeights>(std::move(weights));
    }
    prepare_ops();
    return {};
}

void CpuModel::share_weights(const DeviceModel& other) {
    const auto* const same_backend = dynamic_cast<const CpuModel*>(&other);
    RAFTER_CHECK(same_backend != nullptr, "weights of another backend's model");
    const auto same = [](const model::Weight& a, const model::Weight& b) {
        return a.tensor == b.tensor && a.dtype == b.dtype && a.first_row == b.first_row && a.n_rows == b.n_rows;
    };
    RAFTER_CHECK(std::ranges::equal(program_.weights, same_backend->program_.weights, same), "weights of another list");
    weights_ = same_backend->weights_;
}

void CpuModel::prepare_ops() {
    prepared_.resize(program_.ops.size());
    op_seconds_.assign(program_.ops.size(), 0.0);
    plans_.resize(program_.cache_groups.size());
    unfused_plans_.resize(program_.cache_groups.size());
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
        const model::Op& op = program_.ops[i];
        PreparedOp& prepared = prepared_[i];
        prepared.column_width = column_width(program_, op);
        if (op.kind == model::OpKind::kLinear) {
            for (const model::WeightId id : op.weights) prepared.matrices.push_back(weights_->matrix(id));
            prepared.next_part = std::make_unique<std::atomic<std::uint32_t>>(0);
        } else if (op.kind == model::OpKind::kExpertLinear) {
            for (const model::WeightId id : op.weights) prepared.matrices.push_back(weights_->expert(id, 0));
        } else if (const auto* attention = std::get_if<model::AttentionOptions>(&op.options); attention != nullptr) {
            prepared.attention = std::make_unique<AttentionProgress>();
            prepared.group = cache_.layer(attention->layer).group;
        } else if (const auto* observe = std::get_if<model::ObserveOptions>(&op.options); observe != nullptr) {
            const std::size_t width = value(op.inputs.front()).width;
            prepared.observed =
                std::make_unique<ObservedInputs>(ObservedInputs{.sum_squares = std::vector<double>(width * observe->n_matrices),
                                                                .n_rows = std::vector<std::uint64_t>(observe->n_matrices),
                                                                .moments = {}});
            RAFTER_CHECK(observe->n_moments == 0 || width % kFeedbackGroup == 0, "{}: second moments of {} columns", op.name, width);
            for (std::uint32_t m = 0; m < observe->n_moments; ++m) prepared.observed->moments.emplace_back(moments_size(width));
        }
    }
    for (PreparedOp& prepared : prepared_) {
        for (unsigned t = 0; t < pool_.n_threads() && !prepared.matrices.empty(); ++t) {
            prepared.shares.push_back(share_of(prepared.matrices, t, pool_.n_threads()));
        }
    }
    for (const model::RopeTable& table : program_.config.rope_tables) {
        rope_.emplace_back(limits_.n_tokens * 2 * table.inverse_frequency.size());
    }
    sequence_of_row_.resize(limits_.n_tokens);
    const model::MoeConfig& moe = program_.config.moe;
    if (moe.n_experts == 0) return;
    const std::size_t n_slots = std::size_t{limits_.n_tokens} * moe.n_experts_used;
    for (ThreadState& thread : threads_) {
        thread.experts.first.reserve(moe.n_experts + std::size_t{1});
        thread.experts.slots.reserve(n_slots);
        thread.experts.tokens.reserve(n_slots);
    }
}

MemoryUse CpuModel::memory() const {
    return {.weights_bytes = weights_->size_bytes(),
            .cache_bytes = cache_.size_bytes(),
            .workspace_bytes = workspace_.size_bytes() + attention_scratch_.size_bytes()};
}

Observed CpuModel::observed(std::size_t op) const {
    const PreparedOp& prepared = prepared_[op];
    if (!prepared.observed) return {};
    return {.sum_squares = prepared.observed->sum_squares, .n_rows = prepared.observed->n_rows};
}

std::vector<std::vector<float>> CpuModel::take_moments(std::size_t op) {
    PreparedOp& prepared = prepared_[op];
    if (!prepared.observed) return {};
    return std::exchange(prepared.observed->moments, {});
}

void CpuModel::read_block(std::size_t group, BlockId block, std::span<std::byte> to) const {
    const std::span<const std::byte> from = cache_.block(group, block);
    RAFTER_CHECK(block < cache_.n_blocks(group) && to.size() == from.size(), "{} bytes of block {}", to.size(), block);
    std::memcpy(to.data(), from.data(), from.size());
}

void CpuModel::write_block(std::size_t group, BlockId block, std::span<const std::byte> from) {
    const std::span<std::byte> to = cache_.block(group, block);
    RAFTER_CHECK(block < cache_.n_blocks(group) && to.size() == from.size(), "{} bytes for block {}", from.size(), block);
    std::memcpy(to.data(), from.data(), from.size());
}

void CpuModel::prepare_step(const Batch& batch) {
    RAFTER_CHECK(batch.tokens.size() <= limits_.n_tokens && batch.output_rows.size() <= limits_.n_outputs,
                 "a step of {} tokens and {} outputs, limits {} and {}", batch.tokens.size(), batch.output_rows.size(), limits_.n_tokens,
                 limits_.n_outputs);
    RAFTER_CHECK(batch.output_rows.size() + batch.hidden_rows.size() <= batch.tokens.size(), "{} and {} rows of results of {} tokens",
                 batch.output_rows.size(), batch.hidden_rows.size(), batch.tokens.size());
    RAFTER_CHECK(batch.positions.size() == batch.tokens.size());
    for (const BlockCopy& copy : batch.copies) {
        RAFTER_CHECK(copy.group < cache_.n_groups() && std::max(copy.from, copy.to) < cache_.n_blocks(copy.group),
                     "a copy of block {} to {} of group {}", copy.from, copy.to, copy.group);
    }
    batch_ = &batch;
    std::size_t n_rows = 0;
    for (std::uint32_t s = 0; s < batch.sequences.size(); ++s) {
        const BatchSequence& sequence = batch.sequences[s];
        const std::uint32_t end = sequence.step.n_past + sequence.step.n_new;
        RAFTER_CHECK(sequence.first_row + sequence.step.n_new <= batch.tokens.size());
        RAFTER_CHECK(limits_.n_positions == 0 || end <= limits_.n_positions, "{} positions of {}", end, limits_.n_positions);
        RAFTER_CHECK(sequence.block_tables.size() == program_.cache_groups.size());
        for (const auto& table : sequence.block_tables) {
            RAFTER_CHECK(table.size() * cache_.block_size() >= end, "{} blocks of {} for {} positions", table.size(), cache_.block_size(),
                         end);
        }
        for (std::uint32_t i = 0; i < sequence.step.n_new; ++i) sequence_of_row_[sequence.first_row + i] = s;
        n_rows += sequence.step.n_new;
    }
    RAFTER_CHECK(n_rows == batch.tokens.size(), "{} rows in sequences, {} tokens", n_rows, batch.tokens.size());

    for (PreparedOp& prepared : prepared_) {
        if (prepared.next_part) prepared.next_part->store(0, std::memory_order_relaxed);
    }
    plan_attention_ops(batch);
    for (ThreadState& thread : threads_) thread.experts.valid = false;
}

// Layers of one cache group share a plan.
void CpuModel::plan_attention_ops(const Batch& batch) {
    planned_.assign(plans_.size(), false);
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
        if (!prepared_[i].attention) continue;
        const auto& options = std::get<model::AttentionOptions>(program_.ops[i].options);
        const std::uint32_t group = prepared_[i].group;
        const bool fused = program_.ops[i].kind == model::OpKind::kAttention;
        if (!planned_[group] && fused) {
            plan_attention(batch, options, pool_.n_threads(), attention_scratch_.partial_capacity(), plans_[group]);
        } else if (!planned_[group]) {
            plan_unfused_attention(batch, options, pool_.n_threads(), unfused_plans_[group]);
        }
        planned_[group] = true;
        prepared_[i].attention->reset(fused ? plans_[group] : unfused_plans_[group].scores);
    }
}

StepOutput CpuModel::forward(const Batch& batch) {
    prepare_step(batch);
    if (!batch.tokens.empty()) {
        pool_.run([this](unsigned thread) { walk(thread); });
    } else if (!batch.copies.empty()) {
        pool_.run([&](unsigned thread) { cache_.copy_blocks(batch.copies, thread, pool_.n_threads()); });
    }
    batch_ = nullptr;
    const auto n_outputs = batch.output_rows.size();
    const auto rows_of = [&](model::ValueId id, std::size_t n_rows) -> std::span<const float> {
        // Rows are padded to whole cache lines; the caller gets them without.
        const ValuePlace& place = places_[id];
        const std::size_t width = value(id).width;
        if (place.stride_floats() != width) {
            for (std::size_t r = 1; r < n_rows; ++r) std::memmove(place.floats(0) + r * width, place.floats(r), width * sizeof(float));
        }
        return {place.floats(0), n_rows * width};
    };
    const std::span<const float> hidden = rows_of(program_.hidden, n_outputs + batch.hidden_rows.size());
    const bool has_head = program_.hidden != program_.logits;
    return {.logits = has_head ? rows_of(program_.logits, n_outputs) : hidden.first(n_outputs * value(program_.hidden).width),
            .hidden = hidden,
            .n_vocab = value(program_.logits).width,
            .d_model = value(program_.hidden).width};
}

void CpuModel::run_rows(std::size_t n_rows, const std::function<void(std::size_t row, unsigned thread)>& work) {
    if (n_rows < 2 || pool_.n_threads() == 1) return DeviceModel::run_rows(n_rows, work);
    std::atomic<std::size_t> next = 0;  // rows take unequally long: a thread takes one when it has none
    pool_.run([&](unsigned thread) {
        for (std::size_t row; (row = next.fetch_add(1, std::memory_order_relaxed)) < n_rows;) work(row, thread);
    });
}

// The angles are computed in double: at position 100,000 a float's would be off by 0.004.
void CpuModel::compute_rope_angles(unsigned thread) {
    const std::size_t n = batch_->tokens.size();
    for (std::size_t t = 0; t < rope_.size(); ++t) {
        const model::RopeTable& table = program_.config.rope_tables[t];
        const std::size_t half = table.inverse_frequency.size();
        const RowShare share = share_of_rows(n, std::nullopt, thread, pool_.n_threads());
        for (std::size_t row = share.first; row < share.end; ++row) {
            float* const cosine = rope_[t].data() + row * 2 * half;
            const auto position = static_cast<double>(batch_->positions[row]);
            for (std::size_t i = 0; i < half; ++i) {
                const double angle = position * static_cast<double>(table.inverse_frequency[i]);
                cosine[i] = static_cast<float>(std::cos(angle) * static_cast<double>(table.magnitude));
                cosine[half + i] = static_cast<float>(std::sin(angle) * static_cast<double>(table.magnitude));
            }
        }
    }
}

void CpuModel::walk(unsigned thread) noexcept {
    const bool timed = timing_ && thread == 0;
    std::int64_t before_ns = timed ? monotonic_ns() : 0;
    // Both are first read by a later op than the first.
    cache_.copy_blocks(batch_->copies, thread, pool_.n_threads());
    compute_rope_angles(thread);
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
        run_op(program_.ops[i], prepared_[i], thread);
        if (i + 1 < program_.ops.size()) pool_.barrier();
        if (timed) {
            const std::int64_t now_ns = monotonic_ns();
            op_seconds_[i] = static_cast<double>(now_ns - before_ns) * 1e-9;
            before_ns = now_ns;
        }
    }
}

}  // namespace rafter::backend::cpu
