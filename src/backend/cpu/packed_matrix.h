// A weight matrix as the kernels read it: panels of 16 rows in the interleaved layout of packed_layout.h, the last one filled up with zero
// blocks. One layout for every instruction set and every number of columns; it takes the source's bytes and no more, so no second copy of
// the weights is kept.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace rafter::backend::cpu {

// Borrows its data. Plain values: copy it freely.
struct PackedMatrix {
    tensor::DType dtype = tensor::DType::kF32;
    std::uint32_t n_rows = 0;
    std::uint32_t n_cols = 0;         // a multiple of the format's block
    std::uint32_t n_panels = 0;       // n_rows / 16, rounded up
    std::size_t panel_bytes = 0;      // from one panel to the next
    const std::byte* data = nullptr;  // [n_panels * panel_bytes], 64-byte aligned
};

// The matrix that data holds, or will.
[[nodiscard]] PackedMatrix packed_matrix(tensor::DType dtype, std::uint32_t n_rows, std::uint32_t n_cols, const std::byte* data);
[[nodiscard]] std::size_t packed_bytes(tensor::DType dtype, std::uint32_t n_rows, std::uint32_t n_cols);

// Interleaves panels [first, last) of the matrix whose rows lie one after the other at `rows`, in the format's own blocks, into `data`, the
// start of the whole packed matrix. Threads may take different panels; the one that will read a panel should write it first.
void pack_panels(const PackedMatrix& matrix, const std::byte* rows, std::uint32_t first, std::uint32_t last, std::byte* data);

// Row `row` in the format's own blocks, byte for byte as it was packed.
void unpack_row(const PackedMatrix& matrix, std::uint32_t row, std::byte* blocks);
// Row `row` as floats: an embedding look-up.
void decode_row(const PackedMatrix& matrix, std::uint32_t row, float* values);

}  // namespace rafter::backend::cpu
