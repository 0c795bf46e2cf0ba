// What the integer and the float kernels share: where a column's input and output are, and tiles of a few columns at a time.
#pragma once

#include "backend/cpu/linear.h"
#include "backend/cpu/packed_layout.h"
#include "backend/cpu/unroll.h"

namespace rafter::backend::cpu {
namespace {

RAFTER_VEC const std::byte* input_row(const LinearTask& task, std::uint32_t column) {
    const std::size_t row = task.input_rows != nullptr ? task.input_rows[column] : column;
    return task.input + row * task.input_stride_bytes;
}

// Writes a panel's 16 results of a column, without those beyond the last row.
RAFTER_VEC void write_column(const LinearTask& task, std::uint32_t column, std::uint32_t panel, F32x16 result) {
    const std::size_t row = task.output_rows != nullptr ? task.output_rows[column] : column;
    const std::uint32_t first = panel * kPanelRows;
    float* out = task.output + row * task.output_stride + first;
    const std::uint32_t n = task.weights.n_rows - first;
    if (n >= kPanelRows) {
        store(out, result);
    } else {
        store_partial(out, result, static_cast<int>(n));
    }
}

// Columns that share one unpacking of the weights, and panels that share what is in L2 of their inputs.
constexpr std::uint32_t kBlockColumns = 128;
constexpr std::uint32_t kGroupPanels = 16;
using ChunkSums = float[kGroupPanels * kBlockColumns][16];

// Calls tile(Index<n>, first) for columns [0, n_columns) in as few tiles of at most kMax as they take, all about as large.
template <int kMax, typename Tile>
RAFTER_VEC void for_each_tile(std::uint32_t n_columns, const Tile& tile) {
    const std::uint32_t n_tiles = (n_columns + kMax - 1) / kMax;
    for (std::uint32_t i = 0; i < n_tiles; ++i) {
        const std::uint32_t first = n_columns * i / n_tiles;
        const std::uint32_t n = n_columns * (i + 1) / n_tiles - first;
        unroll<kMax>([&](auto less) {
            constexpr int kColumns = kMax - decltype(less)::value;
            if (n == kColumns) tile(Index<kColumns>(), first);
        });
    }
}

// Elements [k, k + n) of n_panels panels from `panel` on.
struct PanelChunk {
    std::uint32_t panel;
    std::uint32_t n_panels;
    int k;
    int n;
};

// The sums of a chunk's panels and of a block's columns between chunks: [kPanels][n_columns]; rows for panels beyond n_panels are scratch.
struct BlockSums {
    const LinearTask& task;
    const PanelChunk& chunk;
    std::uint32_t begin;  // the block's first column
    std::uint32_t n_columns;
    float (*sums)[16];

    // That of a panel and of column begin + c, before this chunk.
    [[nodiscard]] RAFTER_VEC F32x16 get(std::uint32_t panel, std::uint32_t c) const {
        return chunk.k == 0 ? zero() : load(sums[panel * n_columns + c]);
    }
    // Those after it, of columns from begin + first on. Where a chunk is all there is they are results; else results are written when a
    // group of panels has them, many next to each other.
    template <int kPanels, int kColumns>
    RAFTER_VEC void put(std::uint32_t first, const F32x16 (&acc)[kPanels][kColumns]) const {
        if (static_cast<std::size_t>(chunk.n) < task.weights.n_cols) {
            for (std::size_t p = 0; p < kPanels; ++p) {
                for (std::size_t c = 0; c < kColumns; ++c) store(sums[p * n_columns + first + c], acc[p][c]);
            }
            return;
        }
        for (std::uint32_t c = 0; c < kColumns; ++c) {
            for (std::uint32_t p = 0; p < kPanels; ++p) {
                if (p < chunk.n_panels) write_column(task, begin + first + c, chunk.panel + p, acc[p][c]);
            }
        }
    }
};

// Calls add(chunk, next, sums) for each chunk of at most kElements of each kPanels panels (fewer at the end), and for each block of
// columns: it adds the chunk's products to the sums. next: the chunk after this one, which may lie beyond the last. A group of panels goes
// along k together, so that a chunk's inputs come once from further away for all of them.
template <int kElements, int kPanels, typename Add>
RAFTER_VEC void for_each_chunk(const LinearTask& task, ChunkSums& sums, const Add& add) {
    constexpr std::uint32_t kFewColumns = 16;  // whose inputs stay in L2 anyway: then one stream through the weights is better
    static_assert(kGroupPanels % kPanels == 0);
    const std::uint32_t group = task.n_columns <= kFewColumns ? kPanels : kGroupPanels;
    const auto n_cols = static_cast<int>(task.weights.n_cols);
    const int n_chunks = (n_cols + kElements - 1) / kElements;
    const int chunk = kElements % 256 == 0 ? kElements : ((n_cols + n_chunks - 1) / n_chunks + 31) / 32 * 32;
    for (std::uint32_t begin = 0; begin < task.n_columns; begin += kBlockColumns) {
        const std::uint32_t n_columns = task.n_columns - begin < kBlockColumns ? task.n_columns - begin : kBlockColumns;
        for (std::uint32_t first = task.first_panel; first < task.last_panel; first += group) {
            const std::uint32_t n_panels = task.last_panel - first < group ? task.last_panel - first : group;
            for (int k = 0; k < n_cols; k += chunk) {
                const int n = n_cols - k < chunk ? n_cols - k : chunk;
                for (std::uint32_t p = 0; p < n_panels; p += kPanels) {
                    const std::uint32_t n_here = n_panels - p < kPanels ? n_panels - p : kPanels;
                    PanelChunk next = {first + p + n_here, n_here, k, n};
                    if (p + n_here == n_panels) {
                        next = k + n < n_cols ? PanelChunk{first, n_here, k + n, n} : PanelChunk{first + n_panels, n_here, 0, n};
                    }
                    const PanelChunk here = {first + p, n_here, k, n};
                    add(here, next, BlockSums{task, here, begin, n_columns, sums + p * n_columns});
                }
            }
            if (chunk >= n_cols) continue;  // put() has written them
            for (std::uint32_t c = 0; c < n_columns; ++c) {
                for (std::uint32_t p = 0; p < n_panels; ++p) write_column(task, begin + c, first + p, load(sums[p * n_columns + c]));
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
