// One attention op of a step, over the threads: which queries go with which pieces, and in which order results are merged. The split
// follows the step's shape and the number of threads; the result does not (attention.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/batch.h"
#include "backend/cpu/attention.h"
#include "backend/cpu/attention_split.h"
#include "backend/cpu/kv_store.h"
#include "base/os_memory.h"
#include "base/result.h"
#include "model/program.h"

namespace rafter::backend::cpu {

// Rows of one sequence and query heads of one KV head, against pieces [first_piece, end_piece).
struct AttentionItem {
    std::uint32_t sequence = 0;
    std::uint32_t first_row = 0;  // of the batch
    std::uint32_t n_rows = 0;
    std::uint32_t kv_head = 0;
    std::uint32_t first_head = 0;  // of all query heads
    std::uint32_t n_heads = 0;
    std::uint32_t first_piece = 0;
    std::uint32_t end_piece = 0;
    std::int32_t merge = -1;  // index of its merge, or -1 when it has all pieces itself
};

// Pieces of the same queries that several items work on: whoever is last merges them all, in order.
struct AttentionMerge {
    std::uint32_t first_piece = 0;
    std::uint32_t end_piece = 0;
    std::uint32_t n_items = 0;
    std::size_t offset_floats = 0;  // of [piece][query][state_floats] in the partial results
};

// The items of all attention ops with one window: made once a step, shared by the layers.
struct AttentionPlan {
    std::vector<AttentionItem> items;  // the largest first, nearly
    std::vector<AttentionMerge> merges;
    std::vector<SequenceRun> runs;  // of the batch's sequences
};

// Memory that attention works in: for each thread, and for results that await their merge. Made at load.
class AttentionScratch {
  public:
    // max_positions: no sequence is longer.
    [[nodiscard]] static Result<AttentionScratch> create(const model::ModelConfig& config, std::size_t max_positions, unsigned n_threads);

    [[nodiscard]] std::size_t size_bytes() const { return memory_.size_bytes(); }
    [[nodiscard]] std::size_t partial_capacity() const { return partial_floats_; }
    [[nodiscard]] float* partial() const { return reinterpret_cast<float*>(memory_.data()); }
    [[nodiscard]] float* of_thread(unsigned thread) const { return partial() + partial_floats_ + thread * thread_floats_; }

  private:
    PageBuffer memory_;
    std::size_t partial_floats_ = 0;
    std::size_t thread_floats_ = 0;
};

// Overwrites plan, whose memory is used again.
void plan_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads, std::size_t partial_capacity,
                    AttentionPlan& plan);
[[nodiscard]] AttentionPlan plan_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads,
                                           std::size_t partial_capacity);

// What the threads share while they work on one op; reset by one thread before.
struct AttentionProgress {
    std::atomic<std::size_t> next_item = 0;
    std::unique_ptr<std::atomic<std::uint32_t>[]> items_left;  // [n_merges]
    std::size_t capacity = 0;

    void reset(const AttentionPlan& plan);
};

// Positions of a piece that some query of an item sees, counted from the piece's first; first >= last: none.
struct PieceRange {
    std::uint32_t first = kPiecePositions;
    std::uint32_t last = 0;
};
// Sets what each of the item's queries (row-major, heads within a row) sees of piece `number`: piece.begin and piece.end.
PieceRange set_seen(const Batch& batch, std::uint32_t window, const AttentionItem& item, std::uint32_t number, AttentionPiece& piece);

struct AttentionCall {
    const Batch& batch;
    const model::AttentionOptions& options;
    const KvLayer& layer;
    const AttentionKernels& kernels;
    const float* q;  // [n_tokens, q_stride]
    std::size_t q_stride;
    float* y;  // [n_tokens, y_stride]
    std::size_t y_stride;
    const float* sinks;  // [n_heads], or null
};

// Called by every thread; each takes items until none is left.
void run_attention(const AttentionCall& call, const AttentionPlan& plan, const AttentionScratch& scratch, unsigned thread,
                   AttentionProgress& progress);

}  // namespace rafter::backend::cpu
