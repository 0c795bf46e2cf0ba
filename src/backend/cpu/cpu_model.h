// A program on the CPU: its weights, cache and workspace, and the walk over its ops that a step is. One parallel region a step; every
// thread walks the whole list and does its share of each op, with a barrier between ops.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/attention_step.h"
#include "backend/cpu/attention_unfused.h"
#include "backend/cpu/cpu_weights.h"
#include "backend/cpu/encode/feedback_kernels.h"
#include "backend/cpu/kv_store.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/sampling.h"
#include "base/thread_pool.h"
#include "model/workspace.h"

namespace rafter::backend::cpu {

// A value in the workspace.
struct ValuePlace {
    std::byte* data = nullptr;
    std::size_t stride_bytes = 0;  // a multiple of 64

    [[nodiscard]] std::byte* row(std::size_t r) const { return data + r * stride_bytes; }
    [[nodiscard]] float* floats(std::size_t r) const { return reinterpret_cast<float*>(row(r)); }
    [[nodiscard]] std::size_t stride_floats() const { return stride_bytes / sizeof(float); }
};

// The slots (token, rank) of a step, grouped by the expert that they chose: made anew by each thread from the same routing. Memory for the
// largest step is reserved at load.
struct ExpertGroups {
    model::ValueId routing = 0;
    bool valid = false;
    std::vector<std::uint32_t> first;   // [n_experts + 1]: expert e has slots[first[e]] .. slots[first[e + 1]]
    std::vector<std::uint32_t> slots;   // ascending within an expert
    std::vector<std::uint32_t> tokens;  // slot / n_experts_used
};

// What a kObserve op has seen since load.
struct ObservedInputs {
    std::vector<double> sum_squares;          // [n_matrices, n_cols]
    std::vector<std::uint64_t> n_rows;        // [n_matrices]
    std::vector<std::vector<float>> moments;  // [n_moments][moments_size(n_cols)], backend/feedback.h
};

class CpuModel final : public DeviceModel {
  public:
    // linear: of another kind than the instruction set's own, for tests; outlives the model.
    [[nodiscard]] static Result<std::unique_ptr<DeviceModel>> load(model::Program program, const files::TensorSource& source,
                                                                   const LoadOptions& options, ThreadPool& pool, Isa isa,
                                                                   const LinearKernels* linear = nullptr);

    [[nodiscard]] StepOutput forward(const Batch& batch) override;
    [[nodiscard]] const model::Program& program() const override { return program_; }
    [[nodiscard]] MemoryUse memory() const override;
    void touch_cache() override { cache_.touch(pool_); }
    [[nodiscard]] std::size_t block_bytes(std::size_t group) const override { return cache_.block_bytes(group); }
    void read_block(std::size_t group, BlockId block, std::span<std::byte> to) const override;
    void write_block(std::size_t group, BlockId block, std::span<const std::byte> from) override;
    void run_rows(std::size_t n_rows, const std::function<void(std::size_t row, unsigned thread)>& work) override;
    [[nodiscard]] unsigned n_threads() const override { return pool_.n_threads(); }
    [[nodiscard]] const SamplingKernels& sampling_kernels() const override { return cpu::sampling_kernels(isa_); }
    [[nodiscard]] RowScratch row_scratch(unsigned thread) override { return threads_[thread].rows; }
    void tune(const hardware::Profile& machine) override { tiles_ = machine.tiles; }
    void set_timing(bool on) override { timing_ = on; }
    [[nodiscard]] std::span<const double> op_seconds() const override { return op_seconds_; }
    [[nodiscard]] Observed observed(std::size_t op) const override;
    [[nodiscard]] std::vector<std::vector<float>> take_moments(std::size_t op) override;

  private:
    // What an op needs that does not change from step to step.
    struct PreparedOp {
        std::vector<std::vector<PanelRange>> shares;            // [n_threads][n_weights], of ops that multiply
        std::vector<PackedMatrix> matrices;                     // of ops that multiply: their weights; of experts, the first one's
        std::unique_ptr<std::atomic<std::uint32_t>> next_part;  // of a kLinear with many columns: what no thread has taken yet
        std::optional<std::size_t> column_width;                // of ops on rows: see split.h
        std::unique_ptr<AttentionProgress> attention;
        std::unique_ptr<ObservedInputs> observed;
        std::uint32_t group = 0;  // of an attention op: its cache group, and so its plan
    };
    struct ThreadState {
        ExpertGroups experts;
        std::byte* linear_scratch = nullptr;  // [kLinearScratchBytes]
        RowScratch rows;                      // for sampling
    };

    CpuModel(ThreadPool& pool, Isa isa, const LinearKernels& linear);
    [[nodiscard]] Result<void> set_up(model::Program program, const files::TensorSource& source, const LoadOptions& options);
    void share_weights(const DeviceModel& other);
    void prepare_ops();
    void prepare_step(const Batch& batch);
    void plan_attention_ops(const Batch& batch);

    // One thread's part of a step, of an op, and of one row of a row-local op. All of it works in memory that was reserved at load: a
    // thread that threw would leave the others waiting at a barrier for ever.
    void walk(unsigned thread) noexcept;
    void run_op(const model::Op& op, PreparedOp& prepared, unsigned thread);
    void run_rows(const model::Op& op, const PreparedOp& prepared, unsigned thread);
    void run_row(const model::Op& op, std::size_t row, Columns columns);
    void run_softcap(const model::Op& op, unsigned thread);
    void run_observe(const model::Op& op, PreparedOp& prepared, unsigned thread);
    void add_moments(const model::Op& op, ObservedInputs& observed, unsigned thread);
    void add_first_positions(const model::Op& op, MomentRows rows, std::vector<float>& moments, unsigned thread);
    void run_linear(const model::Op& op, PreparedOp& prepared, unsigned thread);
    [[nodiscard]] std::uint32_t min_tile_columns(tensor::DType weights) const;
    void run_panels(PackedMatrix matrix, const ValuePlace& out, PanelRange panels, LinearTask& task);
    void run_experts(const model::Op& op, const PreparedOp& prepared, unsigned thread);
    void run_attention_op(const model::Op& op, PreparedOp& prepared, unsigned thread);
    void run_unfused_op(const model::Op& op, PreparedOp& prepared, unsigned thread);

    void quantize(const model::Op& op, std::size_t row, Columns columns);
    void embed(const model::Op& op, std::size_t row);
    void rope(const model::Op& op, std::size_t row);
    void append_to_cache(const model::Op& op, std::size_t row);
    void add_expert_bias(const model::Op& op, std::size_t row);
    void compute_rope_angles(unsigned thread);

    [[nodiscard]] std::size_t rows_in_step(model::RowKind kind) const;
    [[nodiscard]] const model::Value& value(model::ValueId id) const { return program_.values[id]; }
    [[nodiscard]] std::uint32_t expert_of(model::ValueId routing, std::size_t slot) const;
    const ExpertGroups& group_slots(model::ValueId routing, std::uint32_t n_experts, ExpertGroups& groups) const;

    ThreadPool& pool_;
    Isa isa_;
    const WeightFetch weight_fetch_ = best_weight_fetch();
    const RowKernels& rows_;
    const LinearKernels& linear_;
    const AttentionKernels& attention_;
    std::vector<hardware::TileReading> tiles_;  // from how many columns on, by type of weights; others: kMinTileColumns
    const FeedbackKernels& feedback_;

    model::Program program_;
    StepLimits limits_;
    std::shared_ptr<const CpuWeights> weights_;  // never null once set up; models that differ in their ops alone share them
    KvStore cache_;
    AttentionScratch attention_scratch_;
    PageBuffer workspace_;  // values, then scratch of linear ops and of sampling for each thread
    std::vector<ValuePlace> places_;
    std::vector<PreparedOp> prepared_;
    std::vector<ThreadState> threads_;

    // Cosines and sines of the step's positions, shared by all layers: [n_rope_tables][n_tokens, n_dims].
    std::vector<std::vector<float>> rope_;

    // The step at hand.
    const Batch* batch_ = nullptr;
    std::vector<std::uint32_t> sequence_of_row_;  // [n_tokens]
    std::vector<AttentionPlan> plans_;            // [n_cache_groups]
    std::vector<UnfusedPlan> unfused_plans_;      // [n_cache_groups], where attention is unfused
    std::vector<bool> planned_;                   // [n_cache_groups]
    std::vector<double> op_seconds_;
    bool timing_ = false;
};

}  // namespace rafter::backend::cpu
