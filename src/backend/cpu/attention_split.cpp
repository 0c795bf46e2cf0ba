// Heads share tiles of keys best in one item; they are parted only when there would be too few items for the threads.
#include "backend/cpu/attention_split.h"

#include <algorithm>

namespace rafter::backend::cpu {
namespace {

// So many items a thread keep the ends of an op equal.
constexpr std::uint32_t kItemsPerThread = 4;

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

// Items before their pieces are cut into intervals.
std::uint64_t count_units(std::span<const SequenceRun> runs, const model::AttentionOptions& options, const AttentionSplit& split) {
    std::uint64_t n = 0;
    for (const SequenceRun& run : runs) n += run.n_sequences * n_row_tiles(split, run.n_new);
    return n * options.n_kv_heads * n_head_parts(split, options);
}

// All heads of a group together, and as many rows as a call takes and the threads can spare.
AttentionSplit widest_split(std::span<const SequenceRun> runs, const model::AttentionOptions& options, unsigned n_threads) {
    const std::uint32_t group = options.n_heads / options.n_kv_heads;
    AttentionSplit split{.heads = std::min(group, kMaxQueries), .rows = 1, .intervals = 1};
    split.rows = std::max(1U, kMaxQueries / split.heads);
    while (split.rows > 1 && count_units(runs, options, split) < std::uint64_t{n_threads} * kItemsPerThread) split.rows /= 2;
    return split;
}

}  // namespace

AttentionSplit split_attention(std::span<const SequenceRun> runs, const model::AttentionOptions& options, unsigned n_threads) {
    AttentionSplit split = widest_split(runs, options, n_threads);
    const std::uint64_t enough = std::uint64_t{n_threads} * kItemsPerThread;
    std::uint64_t longest = 0;
    for (const SequenceRun& run : runs) longest = std::max(longest, run.n_past + run.n_new);
    const std::uint64_t pieces = ceil_div(longest, kPiecePositions);
    const auto units = [&] { return std::max<std::uint64_t>(1, count_units(runs, options, split)); };
    // Units first: their product with the pieces of a step that exists only on paper may not fit into 64 bits.
    while (split.heads > 1 && units() < n_threads && units() * pieces < n_threads) split.heads = (split.heads + 1) / 2;
    if (units() < enough) split.intervals = static_cast<std::uint32_t>(ceil_div(enough, units()));
    if (n_threads == 1) split.intervals = 1;
    return split;
}

ValuesSplit split_values(std::span<const SequenceRun> runs, const model::AttentionOptions& options, unsigned n_threads) {
    ValuesSplit split{.queries = widest_split(runs, options, n_threads)};
    if (n_threads == 1) return split;
    const std::uint64_t most_parts = ceil_div(options.head_dim, kKvGroup);
    const auto units = [&] { return std::max<std::uint64_t>(1, count_units(runs, options, split.queries)); };
    split.n_parts = static_cast<std::uint32_t>(std::min(most_parts, ceil_div(std::uint64_t{n_threads} * kItemsPerThread, units())));
    while (split.queries.heads > 1 && units() * split.n_parts < n_threads) split.queries.heads = (split.queries.heads + 1) / 2;
    return split;
}

std::uint32_t first_element_of_part(const ValuesSplit& split, const model::AttentionOptions& options, std::uint32_t part) {
    if (part == split.n_parts) return options.head_dim;
    const std::uint64_t n_groups = ceil_div(options.head_dim, kKvGroup);
    return static_cast<std::uint32_t>(n_groups * part / split.n_parts * kKvGroup);
}

std::uint64_t n_row_tiles(const AttentionSplit& split, std::uint64_t n_new) { return ceil_div(n_new, split.rows); }

RowTile row_tile(const AttentionSplit& split, const SequenceRun& run, std::uint32_t window, std::uint64_t tile) {
    RowTile t{.first_row = tile * split.rows};
    t.n_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(split.rows, run.n_new - t.first_row));
    t.first_seen = first_seen(run.n_past + t.first_row, window);
    t.end_seen = run.n_past + t.first_row + t.n_rows;
    t.first_piece = t.first_seen / kPiecePositions;
    t.end_piece = (t.end_seen - 1) / kPiecePositions + 1;
    return t;
}

std::uint64_t n_intervals(const AttentionSplit& split, const RowTile& tile) {
    return std::min<std::uint64_t>(split.intervals, tile.end_piece - tile.first_piece);
}

}  // namespace rafter::backend::cpu
