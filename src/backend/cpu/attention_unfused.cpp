// Items of scores are those of fused attention, without a merge. A thread's part of the values is some of a head's elements: whole chunks
// of a tile, which lie in it as a smaller head would, so that few KV heads keep many threads busy and no sum is cut.
#include "backend/cpu/attention_unfused.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "model/workspace.h"

namespace rafter::backend::cpu {
namespace {

static_assert(model::kScorePadding == kPiecePositions);

// From a tile of values to the first of some elements; these begin a group of 32.
std::size_t offset_of_element(KvType type, std::uint32_t element) {
    if (is_quantized(type)) return element / kKvGroup * kv_group_bytes(type);
    return element * kTilePositions * (type == KvType::kF32 ? sizeof(float) : sizeof(std::uint16_t));
}

// Memory of one thread, in AttentionScratch.
struct ItemMemory {
    float* queries;  // [head_dim, kMaxQueries]
    float* scratch;  // [kMaxQueries, 256]
    float* sums;     // [kMaxQueries, state_floats]

    ItemMemory(const AttentionScratch& all, unsigned thread, std::size_t head_dim)
        : queries(all.of_thread(thread)), scratch(queries + kMaxQueries * head_dim), sums(scratch + kMaxQueries * kPiecePositions) {}
};

AttentionPiece first_piece(const UnfusedCall& call, const AttentionItem& item) {
    AttentionPiece piece;
    piece.head_dim = call.options.head_dim;
    piece.n_queries = item.n_rows * item.n_heads;
    piece.key_type = call.layer.key_type;
    piece.value_type = call.layer.value_type;
    piece.scale = call.options.scale;
    return piece;
}

// The scores of an item's queries against a piece.
void set_scores(const UnfusedCall& call, const AttentionItem& item, std::uint32_t number, float* (&scores)[kMaxQueries]) {
    for (std::uint32_t q = 0; q < item.n_rows * item.n_heads; ++q) {
        scores[q] =
            call.scores_of(item.first_row + q / item.n_heads, item.first_head + q % item.n_heads) + std::size_t{number} * kPiecePositions;
    }
}

void run_item(const UnfusedCall& call, const AttentionItem& item, const float* q, std::size_t q_stride, const ItemMemory& memory) {
    AttentionPiece piece = first_piece(call, item);
    piece.queries = memory.queries;
    for (std::uint32_t i = 0; i < piece.n_queries; ++i) {
        const float* const query =
            q + (item.first_row + i / item.n_heads) * q_stride + std::size_t{item.first_head + i % item.n_heads} * piece.head_dim;
        for (std::size_t d = 0; d < piece.head_dim; ++d) memory.queries[d * kMaxQueries + i] = query[d];
    }
    const std::vector<BlockId>& table = call.batch.sequences[item.sequence].block_tables[call.layer.group];
    const std::size_t n_tiles = call.batch.positions[item.first_row + item.n_rows - 1] / kTilePositions + std::size_t{1};
    for (std::uint32_t number = item.first_piece; number < item.end_piece; ++number) {
        const PieceRange range = set_seen(call.batch, call.options.window, item, number, piece);
        for (std::uint32_t t = range.first / kTilePositions; t * kTilePositions < range.last; ++t) {
            const std::size_t tile = number * std::size_t{kPieceTiles} + t;
            piece.keys[t] = call.layer.key_tile(table, item.kv_head, tile);
            // In place of the values, which nobody reads here, the kernel prefetches the next piece's keys.
            const std::size_t next = tile + kPieceTiles;
            const bool follows = number + 1 < item.end_piece && next < n_tiles;
            piece.values[t] = follows ? call.layer.key_tile(table, item.kv_head, next) : piece.keys[t];
        }
        piece.keys_prefetched = number > item.first_piece;
        float* scores[kMaxQueries];
        set_scores(call, item, number, scores);
        call.kernels.scores(piece, memory.scratch, scores);
    }
}

void run_item(const UnfusedCall& call, const ValuesItem& part, float* y, std::size_t y_stride, const ItemMemory& memory) {
    const AttentionItem& item = part.queries;
    AttentionPiece piece = first_piece(call, item);
    piece.head_dim = part.n_elements;
    const std::size_t stride = state_floats(part.n_elements);
    std::memset(memory.sums, 0, piece.n_queries * stride * sizeof(float));
    const std::vector<BlockId>& table = call.batch.sequences[item.sequence].block_tables[call.layer.group];
    const std::size_t n_tiles = call.batch.positions[item.first_row + item.n_rows - 1] / kTilePositions + std::size_t{1};
    const std::size_t offset = offset_of_element(call.layer.value_type, part.first_element);
    for (std::uint32_t number = item.first_piece; number < item.end_piece; ++number) {
        const PieceRange range = set_seen(call.batch, call.options.window, item, number, piece);
        for (std::uint32_t t = range.first / kTilePositions; t * kTilePositions < range.last; ++t) {
            const std::size_t tile = number * std::size_t{kPieceTiles} + t;
            piece.values[t] = call.layer.value_tile(table, item.kv_head, tile) + offset;
            const std::size_t next = tile + kPieceTiles;
            const bool follows = number + 1 < item.end_piece && next < n_tiles;
            piece.next_keys[t] = follows ? call.layer.value_tile(table, item.kv_head, next) + offset : nullptr;
        }
        float* probabilities[kMaxQueries];
        set_scores(call, item, number, probabilities);
        call.kernels.values(piece, memory.scratch, probabilities, memory.sums);
    }
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        const std::size_t row = item.first_row + q / item.n_heads;
        const std::size_t head = item.first_head + q % item.n_heads;
        std::memcpy(y + row * y_stride + head * call.options.head_dim + part.first_element, memory.sums + q * stride,
                    part.n_elements * sizeof(float));
    }
}

}  // namespace

void plan_unfused_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads, UnfusedPlan& plan) {
    // Nothing is merged, so that no partial result needs room.
    plan_attention(batch, options, n_threads, std::numeric_limits<std::size_t>::max(), plan.scores);
    plan.values.clear();
    const std::vector<SequenceRun>& runs = plan.scores.runs;
    const ValuesSplit split = split_values(runs, options, n_threads);
    for (std::uint32_t s = 0; s < batch.sequences.size(); ++s) {
        for (std::uint64_t t = n_row_tiles(split.queries, runs[s].n_new); t-- > 0;) {
            const RowTile tile = row_tile(split.queries, runs[s], options.window, t);
            AttentionItem item{.sequence = s, .first_row = batch.sequences[s].first_row + static_cast<std::uint32_t>(tile.first_row)};
            item.n_rows = tile.n_rows;
            item.first_piece = static_cast<std::uint32_t>(tile.first_piece);
            item.end_piece = static_cast<std::uint32_t>(tile.end_piece);
            for (item.kv_head = 0; item.kv_head < options.n_kv_heads; ++item.kv_head) {
                for (std::uint32_t part = 0; part < n_head_parts(split.queries, options); ++part) {
                    item.first_head = item.kv_head * (options.n_heads / options.n_kv_heads) + part * split.queries.heads;
                    item.n_heads = n_heads_of_part(split.queries, options, part);
                    for (std::uint32_t i = 0; i < split.n_parts; ++i) {
                        const std::uint32_t first = first_element_of_part(split, options, i);
                        plan.values.push_back({item, first, first_element_of_part(split, options, i + 1) - first});
                    }
                }
            }
        }
    }
    plan.heads_per_softmax = batch.tokens.size() >= std::size_t{4} * n_threads ? options.n_heads : 1;
}

void run_scores(const UnfusedCall& call, const UnfusedPlan& plan, const float* q, std::size_t q_stride, const AttentionScratch& scratch,
                unsigned thread, AttentionProgress& progress) {
    const ItemMemory memory(scratch, thread, call.options.head_dim);
    for (;;) {
        const std::size_t next = progress.next_item.fetch_add(1, std::memory_order_relaxed);
        if (next >= plan.scores.items.size()) return;
        run_item(call, plan.scores.items[next], q, q_stride, memory);
    }
}

void run_softmax(const UnfusedCall& call, const UnfusedPlan& plan, const float* sinks, AttentionProgress& progress) {
    const std::size_t n = call.batch.tokens.size() * call.options.n_heads;
    for (;;) {
        const std::size_t next = progress.next_item.fetch_add(plan.heads_per_softmax, std::memory_order_relaxed);
        if (next >= n) return;
        const std::size_t row = next / call.options.n_heads;
        const std::uint32_t position = call.batch.positions[row];
        ScoreRow scores{.begin = first_seen(position, call.options.window), .end = std::size_t{position} + 1};
        scores.softcap = call.options.softcap;
        for (std::size_t i = next; i < next + plan.heads_per_softmax; ++i) {
            const std::size_t head = i % call.options.n_heads;
            scores.sink = sinks != nullptr ? sinks + head : nullptr;
            call.kernels.softmax(scores, call.scores_of(row, head));
        }
    }
}

void run_values(const UnfusedCall& call, const UnfusedPlan& plan, float* y, std::size_t y_stride, const AttentionScratch& scratch,
                unsigned thread, AttentionProgress& progress) {
    const ItemMemory memory(scratch, thread, call.options.head_dim);
    for (;;) {
        const std::size_t next = progress.next_item.fetch_add(1, std::memory_order_relaxed);
        if (next >= plan.values.size()) return;
        run_item(call, plan.values[next], y, y_stride, memory);
    }
}

}  // namespace rafter::backend::cpu
