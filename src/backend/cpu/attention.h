// Attention's kernels, one set an instruction set: queries of one KV head against one piece of 256 positions, and the merging of pieces.
// A query's result is the same bits whatever it shares a call with: pieces are counted from position 0, each is a sum in order of position,
// and they are merged in order. attention_step.h says which queries and pieces a step has.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kv_store.h"

namespace rafter::backend::cpu {

inline constexpr std::uint32_t kPiecePositions = 256;
inline constexpr std::uint32_t kPieceTiles = kPiecePositions / kTilePositions;
// Queries a call: they share each tile of keys and values while it is in the nearest cache.
inline constexpr std::uint32_t kMaxQueries = 12;

// The state of a query's softmax over some positions, as floats: the weighted sum of values [padded_to_16(head_dim)], then 16 floats of
// which two are used: the largest score, and the sum of weights (relative to that score). weight_sum == 0 marks an empty state.
[[nodiscard]] static constexpr std::size_t state_floats(std::size_t head_dim) { return padded_to_16(head_dim) + 16; }
[[nodiscard]] static inline float* max_score(float* state, std::size_t head_dim) { return state + padded_to_16(head_dim); }
[[nodiscard]] static inline const float* max_score(const float* state, std::size_t head_dim) { return state + padded_to_16(head_dim); }
[[nodiscard]] static inline float* weight_sum(float* state, std::size_t head_dim) { return state + padded_to_16(head_dim) + 1; }
static inline void set_empty(float* state, std::size_t head_dim) { *weight_sum(state, head_dim) = 0.0F; }

struct AttentionPiece {
    std::uint32_t head_dim = 0;
    std::uint32_t n_queries = 0;  // 1 .. kMaxQueries
    KvType key_type = KvType::kF16;
    KvType value_type = KvType::kF16;
    float scale = 1.0F;
    float softcap = 0.0F;            // 0: none
    const float* queries = nullptr;  // [head_dim, kMaxQueries]: side by side
    // What each query sees of the piece: positions [begin, end), counted from the piece's first; empty where it sees none.
    std::uint32_t begin[kMaxQueries];
    std::uint32_t end[kMaxQueries];
    // Tiles that some query sees; the others are not read. Positions that no query sees may hold anything, NaN too.
    const std::byte* keys[kPieceTiles];
    const std::byte* values[kPieceTiles];
    // Prefetch. next_keys: the tiles that this thread reads after this piece (null: none), prefetched during the value pass.
    // keys_prefetched: the previous piece already fetched `keys`, so the score pass prefetches `values` instead.
    const std::byte* next_keys[kPieceTiles] = {};
    bool keys_prefetched = false;
};

// All scores of a query and head, and the positions [begin, end) that it sees.
struct ScoreRow {
    std::size_t begin = 0;
    std::size_t end = 0;
    float softcap = 0.0F;         // 0: none
    const float* sink = nullptr;  // a score that takes its weight and has no value; may be null
};

struct AttentionKernels {
    // scores: [n_queries, 256], scratch. states: [n_queries, state_floats], written.
    void (*attend)(const AttentionPiece& piece, float* scores, float* states);
    // Adds a later piece's state to the total of those before it.
    void (*merge)(const float* piece, std::size_t head_dim, float* total);
    // y[head_dim] = the weighted mean of values. sink: a score that takes its weight and has no value; may be null.
    void (*finish)(const float* total, const float* sink, std::size_t head_dim, float* y);

    // The three parts of unfused attention (attention_unfused.h), by the same inner loops. Scratch: [n_queries, 256].
    // scores: out[q] gets the query's 256 scores of the piece: those of the tiles that some query sees, also where q does not see them.
    void (*scores)(const AttentionPiece& piece, float* scratch, float* const* out);
    // softmax: the scores of a row, [padded to 16], become probabilities; where the row's first and last tile are not seen, 0.
    void (*softmax)(const ScoreRow& row, float* scores);
    // values: adds what each query sees of the piece, weighted by its 256 probabilities, to its sums: [n_queries, state_floats], of which
    // the first padded_to_16(head_dim) are used.
    void (*values)(const AttentionPiece& piece, float* scratch, const float* const* probabilities, float* sums);
};

[[nodiscard]] const AttentionKernels& attention_kernels(Isa isa);

}  // namespace rafter::backend::cpu
