// How the CPU splits an op over its threads. What executes (cpu_ops.cpp, cpu_weights.cpp) and what predicts (price/) both read this file,
// so that they cannot differ. Attention's split is in attention_split.h. A split never changes a result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/cpu/packed_matrix.h"
#include "model/program.h"

namespace rafter::backend::cpu {

// ---- matrices

// A matrix with fewer columns is read from memory by the thread that packed it, and so has it nearest. From this number on it is bound by
// arithmetic: its panels are cut into kPartsPerThread parts a thread, which threads take as they come, so that a thread that lost its CPU
// for a while delays no other.
inline constexpr std::uint32_t kManyColumns = 16;
inline constexpr unsigned kPartsPerThread = 8;

struct LinearSplit {
    unsigned n_parts = 1;          // of all the panels
    bool as_threads_come = false;  // or part t is thread t's
};
[[nodiscard]] constexpr LinearSplit split_linear(std::uint32_t n_columns, unsigned n_threads) {
    if (n_columns < kManyColumns) return {.n_parts = n_threads, .as_threads_come = false};
    return {.n_parts = n_threads * kPartsPerThread, .as_threads_come = true};
}

struct PanelRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};

// Part `part` of n_parts of the panels of matrices that are read together: what it has of matrices[matrix]. Parts are equal in bytes. The
// same for packing and for reading, so that a thread's panels are in memory near it.
[[nodiscard]] PanelRange share_of(std::span<const PackedMatrix> matrices, std::size_t matrix, unsigned part, unsigned n_parts);
[[nodiscard]] std::vector<PanelRange> share_of(std::span<const PackedMatrix> matrices, unsigned part, unsigned n_parts);  // of each

// ---- rows

// Columns are split in whole blocks of quantised activations, which are whole cache lines of floats.
inline constexpr std::size_t kColumnBlock = 32;

// Of a row: [first, first + n).
struct Columns {
    std::size_t first = 0;
    std::size_t n = 0;
};

// The width by which an op on rows can be split when it has fewer rows than there are threads; none if some part needs whole rows.
[[nodiscard]] std::optional<std::size_t> column_width(const model::Program& program, const model::Op& op);

// A thread's rows [first, end), and its columns of each; none: whole rows.
struct RowShare {
    std::size_t first = 0;
    std::size_t end = 0;
    std::optional<Columns> columns;
};
[[nodiscard]] RowShare share_of_rows(std::size_t n_rows, std::optional<std::size_t> column_width, unsigned thread, unsigned n_threads);

// A thread's columns of every row: for rows that are few and as long as the vocabulary.
[[nodiscard]] Columns share_of_columns(std::size_t width, unsigned thread, unsigned n_threads);

}  // namespace rafter::backend::cpu
