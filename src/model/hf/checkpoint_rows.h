// How the rows of one tensor in GGUF's order are made of a checkpoint's tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace rafter::model::hf {

enum class Stored { kNumbers, kFp8, kMxfp4 };

// One tensor of the checkpoint, or one expert's share of it.
struct StoredPart {
    std::span<const std::byte> data;    // of kMxfp4: the blocks
    std::span<const std::byte> scales;  // of kMxfp4: an exponent a block
    std::vector<float> fp8_scales;      // [n_scale_rows, n_scale_cols]
    std::uint64_t scale_block_rows = 1;
    std::uint64_t scale_block_cols = 1;
    std::uint64_t n_scale_cols = 1;
};

// Row i of part p is, of the part's elements, first_element + order(i) * row_stride + column * column_stride.
struct RowRecipe {
    Stored stored = Stored::kNumbers;
    tensor::DType stored_type = tensor::DType::kF32;  // of kNumbers
    tensor::DType dtype = tensor::DType::kF32;        // of the rows made
    std::vector<StoredPart> parts;                    // experts one after the other
    std::uint64_t rows_per_part = 0;
    std::uint64_t n_cols = 0;
    std::uint64_t first_element = 0;
    std::uint64_t row_stride = 0;
    std::uint64_t column_stride = 1;
    std::uint64_t rotated_head_dim = 0;  // not 0: rows of a head go from halves to pairs, as GGUF has llama's
    float add = 0.0F;                    // Gemma stores gains less 1

    // The rows lie in the data as they are asked for.
    [[nodiscard]] bool is_plain() const;
    // Where row i of a part lies among the part's rows.
    [[nodiscard]] std::uint64_t order(std::uint64_t row) const;
};

// Makes rows [first, first + n), parts flattened, in `out`. Allocates nothing.
void make_rows(const RowRecipe& recipe, std::uint64_t first, std::uint64_t n, std::span<std::byte> out);
// Element `index` of data of F32, F16 or BF16.
[[nodiscard]] float float_at(tensor::DType dtype, const std::byte* data, std::uint64_t index);

}  // namespace rafter::model::hf
