// Splits a step's attention into items and runs them.
#include "backend/cpu/attention_step.h"

#include <algorithm>

#include "base/check.h"

namespace rafter::backend::cpu {
namespace {

// Results that await their merge take at most this much; a sequence that would need more is not split over threads.
constexpr std::size_t kMaxPartialFloats = std::size_t{16} << 20U;
}  // namespace

Result<AttentionScratch> AttentionScratch::create(const model::ModelConfig& config, std::size_t max_positions, unsigned n_threads) {
    AttentionScratch scratch;
    const std::size_t stride = state_floats(config.head_dim);
    const std::size_t pieces = (max_positions + kPiecePositions - 1) / kPiecePositions;
    // Enough for every head of one token with the longest past.
    if (n_threads > 1) scratch.partial_floats_ = std::min(kMaxPartialFloats, pieces * config.n_heads * stride);
    scratch.thread_floats_ = kMaxQueries * (config.head_dim + kPiecePositions + 2 * stride);
    RAFTER_TRY(scratch.memory_, PageBuffer::allocate((scratch.partial_floats_ + n_threads * scratch.thread_floats_) * sizeof(float),
                                                     "attention's scratch memory"));
    return scratch;
}

void plan_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads, std::size_t partial_capacity,
                    AttentionPlan& plan) {
    plan.items.clear();
    plan.merges.clear();
    plan.runs.clear();
    for (const BatchSequence& s : batch.sequences) plan.runs.push_back({.n_new = s.step.n_new, .n_past = s.step.n_past});
    const AttentionSplit split = split_attention(plan.runs, options, n_threads);
    std::size_t partial_floats = 0;

    const auto add = [&](AttentionItem item, const RowTile& tile) {
        const auto first_piece = static_cast<std::uint32_t>(tile.first_piece);
        const auto end_piece = static_cast<std::uint32_t>(tile.end_piece);
        const std::uint32_t n_pieces = end_piece - first_piece;
        const auto n_items = static_cast<std::uint32_t>(n_intervals(split, tile));
        const std::size_t needed = std::size_t{n_pieces} * item.n_rows * item.n_heads * state_floats(options.head_dim);
        if (n_items <= 1 || partial_floats + needed > partial_capacity) {
            item.first_piece = first_piece;
            item.end_piece = end_piece;
            plan.items.push_back(item);
            return;
        }
        item.merge = static_cast<std::int32_t>(plan.merges.size());
        plan.merges.push_back({.first_piece = first_piece, .end_piece = end_piece, .n_items = n_items, .offset_floats = partial_floats});
        partial_floats += needed;
        for (std::uint32_t i = 0; i < n_items; ++i) {
            item.first_piece = first_piece + n_pieces * i / n_items;
            item.end_piece = first_piece + n_pieces * (i + 1) / n_items;
            plan.items.push_back(item);
        }
    };

    const std::uint32_t group = options.n_heads / options.n_kv_heads;
    for (std::uint32_t s = 0; s < batch.sequences.size(); ++s) {
        // Later rows see more: they come first, so that the small items fill the end.
        for (std::uint64_t t = n_row_tiles(split, plan.runs[s].n_new); t-- > 0;) {
            const RowTile tile = row_tile(split, plan.runs[s], options.window, t);
            AttentionItem item{.sequence = s, .first_row = batch.sequences[s].first_row + static_cast<std::uint32_t>(tile.first_row)};
            item.n_rows = tile.n_rows;
            for (item.kv_head = 0; item.kv_head < options.n_kv_heads; ++item.kv_head) {
                for (std::uint32_t part = 0; part < n_head_parts(split, options); ++part) {
                    item.first_head = item.kv_head * group + part * split.heads;
                    item.n_heads = n_heads_of_part(split, options, part);
                    add(item, tile);
                }
            }
        }
    }
}

AttentionPlan plan_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads, std::size_t partial_capacity) {
    AttentionPlan plan;
    plan_attention(batch, options, n_threads, partial_capacity, plan);
    return plan;
}

void AttentionProgress::reset(const AttentionPlan& plan) {
    next_item.store(0, std::memory_order_relaxed);
    if (plan.merges.size() > capacity) {
        capacity = plan.merges.size();
        items_left = std::make_unique<std::atomic<std::uint32_t>[]>(capacity);
    }
    for (std::size_t i = 0; i < plan.merges.size(); ++i) items_left[i].store(plan.merges[i].n_items, std::memory_order_relaxed);
}

PieceRange set_seen(const Batch& batch, std::uint32_t window, const AttentionItem& item, std::uint32_t number, AttentionPiece& piece) {
    const std::uint32_t base = number * kPiecePositions;
    PieceRange range;
    for (std::uint32_t row = 0; row < item.n_rows; ++row) {
        const std::uint32_t position = batch.positions[item.first_row + row];
        const auto seen = static_cast<std::uint32_t>(first_seen(position, window));
        const std::uint32_t begin = std::clamp(seen, base, base + kPiecePositions) - base;
        const std::uint32_t end = std::clamp(position + 1, base, base + kPiecePositions) - base;
        for (std::uint32_t head = 0; head < item.n_heads; ++head) {
            piece.begin[row * item.n_heads + head] = begin;
            piece.end[row * item.n_heads + head] = end;
        }
        if (begin < end) {
            range.first = std::min(range.first, begin);
            range.last = std::max(range.last, end);
        }
    }
    return range;
}

namespace {

// A query of an item: row-major, heads within a row.
std::uint32_t n_queries(const AttentionItem& item) { return item.n_rows * item.n_heads; }

void set_piece(const AttentionCall& call, const AttentionItem& item, std::uint32_t number, AttentionPiece& piece) {
    const auto [first, last] = set_seen(call.batch, call.options.window, item, number, piece);
    const std::vector<BlockId>& table = call.batch.sequences[item.sequence].block_tables[call.layer.group];
    for (std::uint32_t t = first / kTilePositions; t * kTilePositions < last; ++t) {
        piece.keys[t] = call.layer.key_tile(table, item.kv_head, number * std::size_t{kPieceTiles} + t);
        piece.values[t] = call.layer.value_tile(table, item.kv_head, number * std::size_t{kPieceTiles} + t);
    }
    // The item's next piece, as far as its last query sees.
    piece.keys_prefetched = number > item.first_piece;
    const std::size_t next = (number + std::size_t{1}) * kPieceTiles;
    const std::size_t n_tiles = call.batch.positions[item.first_row + item.n_rows - 1] / kTilePositions + 1;
    for (std::size_t t = 0; t < kPieceTiles; ++t) {
        const bool follows = number + 1 < item.end_piece && next + t < n_tiles;
        piece.next_keys[t] = follows ? call.layer.key_tile(table, item.kv_head, next + t) : nullptr;
    }
}

void finish_item(const AttentionCall& call, const AttentionItem& item, const float* totals) {
    const std::uint32_t head_dim = call.options.head_dim;
    for (std::uint32_t row = 0; row < item.n_rows; ++row) {
        for (std::uint32_t h = 0; h < item.n_heads; ++h) {
            const std::uint32_t head = item.first_head + h;
            const float* const sink = call.sinks != nullptr ? call.sinks + head : nullptr;
            float* const y = call.y + (item.first_row + row) * call.y_stride + std::size_t{head} * head_dim;
            call.kernels.finish(totals + (row * item.n_heads + h) * state_floats(head_dim), sink, head_dim, y);
        }
    }
}

void merge_pieces(const AttentionCall& call, const AttentionItem& item, const float* states, float* totals) {
    const std::size_t stride = state_floats(call.options.head_dim);
    for (std::uint32_t q = 0; q < n_queries(item); ++q) {
        call.kernels.merge(states + q * stride, call.options.head_dim, totals + q * stride);
    }
}

void set_all_empty(const AttentionItem& item, std::size_t head_dim, float* totals) {
    for (std::uint32_t q = 0; q < n_queries(item); ++q) set_empty(totals + q * state_floats(head_dim), head_dim);
}

void run_item(const AttentionCall& call, const AttentionPlan& plan, const AttentionItem& item, float* memory, float* partial,
              AttentionProgress& progress) {
    const std::uint32_t head_dim = call.options.head_dim;
    const std::size_t stride = state_floats(head_dim);
    float* const queries = memory;
    float* const scores = queries + std::size_t{kMaxQueries} * head_dim;
    float* const states = scores + kMaxQueries * kPiecePositions;
    float* const totals = states + kMaxQueries * stride;

    AttentionPiece piece;
    piece.head_dim = head_dim;
    piece.n_queries = n_queries(item);
    piece.key_type = call.layer.key_type;
    piece.value_type = call.layer.value_type;
    piece.scale = call.options.scale;
    piece.softcap = call.options.softcap;
    piece.queries = queries;
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        const std::size_t row = item.first_row + q / item.n_heads;
        const float* const query = call.q + row * call.q_stride + std::size_t{item.first_head + q % item.n_heads} * head_dim;
        for (std::size_t d = 0; d < head_dim; ++d) queries[d * kMaxQueries + q] = query[d];
    }

    if (item.merge < 0) {
        set_all_empty(item, head_dim, totals);
        for (std::uint32_t number = item.first_piece; number < item.end_piece; ++number) {
            set_piece(call, item, number, piece);
            call.kernels.attend(piece, scores, states);
            merge_pieces(call, item, states, totals);
        }
        finish_item(call, item, totals);
        return;
    }
    const AttentionMerge& merge = plan.merges[static_cast<std::size_t>(item.merge)];
    const auto result_of = [&](std::uint32_t number) {
        return partial + merge.offset_floats + std::size_t{number - merge.first_piece} * piece.n_queries * stride;
    };
    for (std::uint32_t number = item.first_piece; number < item.end_piece; ++number) {
        set_piece(call, item, number, piece);
        call.kernels.attend(piece, scores, result_of(number));
    }
    if (progress.items_left[static_cast<std::size_t>(item.merge)].fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    set_all_empty(item, head_dim, totals);
    for (std::uint32_t number = merge.first_piece; number < merge.end_piece; ++number) merge_pieces(call, item, result_of(number), totals);
    finish_item(call, item, totals);
}

}  // namespace

void run_attention(const AttentionCall& call, const AttentionPlan& plan, const AttentionScratch& scratch, unsigned thread,
                   AttentionProgress& progress) {
    for (;;) {
        const std::size_t next = progress.next_item.fetch_add(1, std::memory_order_relaxed);
        if (next >= plan.items.size()) return;
        run_item(call, plan, plan.items[next], scratch.of_thread(thread), scratch.partial(), progress);
    }
}

}  // namespace rafter::backend::cpu
