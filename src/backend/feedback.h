// Error feedback: a column's rounding error is made good in the columns after it, as far as their inputs go together. For a matrix W whose
// inputs x have the second moments H (sums of x xᵀ), the output error of rounding to Q is (W - Q) H (W - Q)ᵀ, row by row. With
// H = U D Uᵀ, U unit upper triangular, a row's error e = w - q costs
//     sum over columns j of D[j] * (e[j] + sum over i < j of U[i][j] e[i])²
// so that column j is best rounded from w[j] + sum over i < j of U[i][j] (w[i] - q[i]). It is what GPTQ (https://arxiv.org/abs/2210.17323)
// does by the inverse's Cholesky factor; that both give the same is theorem 6 of QuIP (https://arxiv.org/abs/2307.13304).
// Every instruction set and any number of threads give the same bytes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "backend/encoding.h"
#include "base/thread_pool.h"
#include "tensor/dtype.h"

namespace rafter::backend {

// Columns come in groups. Second moments, and the factor U, are stored without what is below the diagonal: group g has rows 0 .. 32 (g +
// 1), each with its 32 columns.
inline constexpr std::size_t kFeedbackGroup = 32;
// Of n_cols columns, whole groups.
[[nodiscard]] static constexpr std::size_t moments_size(std::size_t n_cols) { return n_cols * (n_cols + kFeedbackGroup) / 2; }
// row: of the column's group or before it.
[[nodiscard]] static constexpr std::size_t moments_index(std::size_t row, std::size_t col) {
    const std::size_t group = col / kFeedbackGroup;
    return moments_size(group * kFeedbackGroup) + row * kFeedbackGroup + col % kFeedbackGroup;
}

struct FeedbackFactor {
    std::vector<float> upper;     // [moments_size(n_cols)]: U, in the place of the moments
    std::vector<float> variance;  // [n_cols]: D; empty: there is no factor

    [[nodiscard]] bool is_usable() const { return !variance.empty(); }
};
// Adds `damping` times the mean of the diagonal to it, ten times as much again where that is not enough for a factor; after three trials,
// or where all moments are zero or one is no finite number, there is none. O(n_cols³ / 3).
[[nodiscard]] FeedbackFactor factor_moments(std::vector<float> moments, std::size_t n_cols, float damping, ThreadPool& pool);

// What the rows' outputs lose, by the damped moments: summed over rows.
struct FeedbackErrors {
    double plain = 0.0;       // of the encoder without feedback
    double kept = 0.0;        // of what was written
    std::size_t n_plain = 0;  // rows that were written without feedback, as it did not lower their error
};
// Encodes rows as EncodeRows does, each block's scales chosen for its corrected values, with its errors fed on within the block, too. A row
// that this does not improve is the plain encoder's. scratch: [feedback_scratch_bytes(to, n_cols)], aligned to 64 bytes. to: a type of
// blocks; rows.n_cols: whole groups and whole blocks.
[[nodiscard]] FeedbackErrors encode_with_feedback(tensor::DType to, const WeightRows& rows, const FeedbackFactor& factor,
                                                  std::span<std::byte> scratch, std::byte* out);
[[nodiscard]] std::size_t feedback_scratch_bytes(tensor::DType to, std::size_t n_cols);

}  // namespace rafter::backend
