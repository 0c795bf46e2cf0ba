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

// Columns that share one unpacking of the weights: with a row of 4096 their inputs stay in L2.
constexpr std::uint32_t kBlockColumns = 128;

// Calls tile(Index<n>, first) for columns [0, n_columns) in tiles of kMost, then of 8, 4, 3, 2 and 1 where those are smaller.
template <int kMost, typename Tile>
RAFTER_VEC void for_each_tile(std::uint32_t n_columns, const Tile& tile, std::uint32_t first = 0) {
    for (; first + kMost <= n_columns; first += kMost) tile(Index<kMost>(), first);
    constexpr int kNext = kMost > 8 ? 8 : kMost > 4 ? 4 : kMost - 1;
    if constexpr (kNext > 0) for_each_tile<kNext>(n_columns, tile, first);
}

}  // namespace
}  // namespace rafter::backend::cpu
