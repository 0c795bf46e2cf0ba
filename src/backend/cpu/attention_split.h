// How an attention op is split into items: which query heads and rows go together, and into how many parts their pieces of 256 positions
// are cut. attention_step.cpp makes and runs the items, price/attention_price.cpp counts them: both by these functions.
#pragma once

#include <cstdint>
#include <span>

#include "backend/cpu/attention.h"
#include "model/program.h"

namespace rafter::backend::cpu {

// Sequences of a step that are alike; the numbers of one.
struct SequenceRun {
    std::uint64_t n_sequences = 1;
    std::uint64_t n_new = 0;
    std::uint64_t n_past = 0;
};

struct AttentionSplit {
    std::uint32_t heads = 1;      // query heads an item, of one KV head
    std::uint32_t rows = 1;       // rows an item
    std::uint32_t intervals = 1;  // items that the pieces of one item's queries are cut into, at most
};
[[nodiscard]] AttentionSplit split_attention(std::span<const SequenceRun> runs, const model::AttentionOptions& options, unsigned n_threads);

// Items of one KV head and the same rows.
[[nodiscard]] constexpr std::uint32_t n_head_parts(const AttentionSplit& split, const model::AttentionOptions& options) {
    const std::uint32_t group = options.n_heads / options.n_kv_heads;
    return (group + split.heads - 1) / split.heads;
}
[[nodiscard]] constexpr std::uint32_t n_heads_of_part(const AttentionSplit& split, const model::AttentionOptions& options,
                                                      std::uint32_t part) {
    const std::uint32_t left = options.n_heads / options.n_kv_heads - part * split.heads;
    return left < split.heads ? left : split.heads;
}

// The rows of one item, of a sequence's new ones, and the pieces that some of them sees.
struct RowTile {
    std::uint64_t first_row = 0;
    std::uint32_t n_rows = 0;
    std::uint64_t first_seen = 0;  // the first position that the first row sees
    std::uint64_t end_seen = 0;    // behind the last that the last row sees
    std::uint64_t first_piece = 0;
    std::uint64_t end_piece = 0;
};
[[nodiscard]] std::uint64_t n_row_tiles(const AttentionSplit& split, std::uint64_t n_new);
[[nodiscard]] RowTile row_tile(const AttentionSplit& split, const SequenceRun& run, std::uint32_t window, std::uint64_t tile);

// The same for the values of unfused attention, which are split by a head's elements instead of by pieces.
struct ValuesSplit {
    AttentionSplit queries;     // its intervals are 1
    std::uint32_t n_parts = 1;  // of a head's elements
};
[[nodiscard]] ValuesSplit split_values(std::span<const SequenceRun> runs, const model::AttentionOptions& options, unsigned n_threads);
// Parts begin with whole groups of kKvGroup elements; part n_parts begins behind the last.
[[nodiscard]] std::uint32_t first_element_of_part(const ValuesSplit& split, const model::AttentionOptions& options, std::uint32_t part);

// Items that the pieces of a tile's queries are cut into; fewer only where partial results have no room.
[[nodiscard]] std::uint64_t n_intervals(const AttentionSplit& split, const RowTile& tile);

// The first position that the query at `position` sees.
[[nodiscard]] constexpr std::uint64_t first_seen(std::uint64_t position, std::uint32_t window) {
    return window == 0 || position < window ? 0 : position + 1 - window;
}

}  // namespace rafter::backend::cpu
