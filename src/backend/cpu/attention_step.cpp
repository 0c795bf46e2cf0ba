// Splits a step's attention into items and runs them.
#include "backend/cpu/attention_step.h"

#include <algorithm>

#include "base/check.h"

namespace rafter::backend::cpu {
namespace {

// Results that await their merge take at most this much; a sequence that would need more is not split over threads.
constexpr std::size_t kMaxPartialFloats = std::size_t{16} << 20U;
// So many items a thread keep the ends of an op equal.
constexpr std::uint32_t kItemsPerThread = 4;

constexpr std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) { return (a + b - 1) / b; }

// The first position that the query at `position` sees.
std::uint32_t first_seen(std::uint32_t position, std::uint32_t window) {
    return window == 0 || position < window ? 0 : position + 1 - window;
}

struct Split {
    std::uint32_t heads;      // query heads an item
    std::uint32_t rows;       // rows an item
    std::uint32_t intervals;  // parts that the pieces of an item's queries are cut into, at most
};

std::uint32_t count_units(const Batch& batch, std::uint32_t n_kv_heads, std::uint32_t group, const Split& split) {
    std::uint32_t n = 0;
    for (const BatchSequence& s : batch.sequences) n += ceil_div(s.step.n_new, split.rows);
    return n * n_kv_heads * ceil_div(group, split.heads);
}

// Heads share tiles best in one item; they are parted only when there would be too few items for the threads.
Split choose_split(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads) {
    const std::uint32_t group = options.n_heads / options.n_kv_heads;
    Split split{.heads = std::min(group, kMaxQueries), .rows = 1, .intervals = 1};
    const auto set_rows = [&] { split.rows = std::max(1U, kMaxQueries / split.heads); };
    set_rows();
    while (split.rows > 1 && count_units(batch, options.n_kv_heads, group, split) < n_threads * kItemsPerThread) split.rows /= 2;
    std::uint32_t longest = 0;
    for (const BatchSequence& s : batch.sequences) longest = std::max(longest, s.step.n_past + s.step.n_new);
    const std::uint32_t pieces = ceil_div(longest, kPiecePositions);
    const auto units = [&] { return std::max(1U, count_units(batch, options.n_kv_heads, group, split)); };
    while (split.heads > 1 && units() * pieces < n_threads) split.heads = ceil_div(split.heads, 2);
    if (units() < n_threads * kItemsPerThread) split.intervals = ceil_div(n_threads * kItemsPerThread, units());
    if (n_threads == 1) split.intervals = 1;
    return split;
}

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

AttentionPlan plan_attention(const Batch& batch, const model::AttentionOptions& options, unsigned n_threads, std::size_t partial_capacity) {
    const std::uint32_t group = options.n_heads / options.n_kv_heads;
    const Split split = choose_split(batch, options, n_threads);
    AttentionPlan plan;
    std::size_t partial_floats = 0;

    const auto add = [&](AttentionItem item, std::uint32_t first_piece, std::uint32_t end_piece) {
        const std::uint32_t n_pieces = end_piece - first_piece;
        const std::uint32_t n_items = std::min(split.intervals, n_pieces);
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

    for (std::uint32_t s = 0; s < batch.sequences.size(); ++s) {
        const BatchSequence& sequence = batch.sequences[s];
        // Later rows see more: they come first, so that the small items fill the end.
        for (std::uint32_t tile = ceil_div(sequence.step.n_new, split.rows); tile-- > 0;) {
            const std::uint32_t row = tile * split.rows;
            AttentionItem item{.sequence = s, .first_row = sequence.first_row + row};
            item.n_rows = std::min(split.rows, sequence.step.n_new - row);
            const std::uint32_t first = first_seen(sequence.step.n_past + row, options.window);
            const std::uint32_t last = sequence.step.n_past + row + item.n_rows - 1;
            for (item.kv_head = 0; item.kv_head < options.n_kv_heads; ++item.kv_head) {
                for (std::uint32_t head = 0; head < group; head += split.heads) {
                    item.first_head = item.kv_head * group + head;
                    item.n_heads = std::min(split.heads, group - head);
                    add(item, first / kPiecePositions, last / kPiecePositions + 1);
                }
            }
        }
    }
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

namespace {

// A query of an item: row-major, heads within a row.
std::uint32_t n_queries(const AttentionItem& item) { return item.n_rows * item.n_heads; }

void set_piece(const AttentionCall& call, const AttentionItem& item, std::uint32_t number, AttentionPiece& piece) {
    const std::uint32_t base = number * kPiecePositions;
    std::uint32_t first = kPiecePositions;
    std::uint32_t last = 0;
    for (std::uint32_t row = 0; row < item.n_rows; ++row) {
        const std::uint32_t position = call.batch.positions[item.first_row + row];
        const std::uint32_t seen = first_seen(position, call.options.window);
        const std::uint32_t begin = std::clamp(seen, base, base + kPiecePositions) - base;
        const std::uint32_t end = std::clamp(position + 1, base, base + kPiecePositions) - base;
        for (std::uint32_t head = 0; head < item.n_heads; ++head) {
            piece.begin[row * item.n_heads + head] = begin;
            piece.end[row * item.n_heads + head] = end;
        }
        if (begin < end) {
            first = std::min(first, begin);
            last = std::max(last, end);
        }
    }
    const std::vector<BlockId>& table = call.batch.sequences[item.sequence].block_tables[call.layer.group];
    for (std::uint32_t t = first / kTilePositions; t * kTilePositions < last; ++t) {
        piece.keys[t] = call.layer.key_tile(table, item.kv_head, number * std::size_t{kPieceTiles} + t);
        piece.values[t] = call.layer.value_tile(table, item.kv_head, number * std::size_t{kPieceTiles} + t);
    }
    // The item's next piece, as far as its last query sees.
    piece.keys_come = number > item.first_piece;
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

// A total of nothing: the sum of weights is what says so.
void clear(const AttentionItem& item, std::size_t stride, float* totals) {
    for (std::uint32_t q = 0; q < n_queries(item); ++q) totals[(q + 1) * stride - 15] = 0.0F;
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
        clear(item, stride, totals);
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
    clear(item, stride, totals);
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
