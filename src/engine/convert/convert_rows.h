// Rows of weights in another type, by way of float32, and the search for values that are no finite numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "backend/feedback.h"
#include "tensor/dtype.h"

namespace rafter::engine {

// The index, in elements, of the first that is NaN or infinite.
[[nodiscard]] std::optional<std::uint64_t> first_non_finite(tensor::DType dtype, std::span<const std::byte> rows);

// rows: whole blocks of both types. out: as many elements in `to`. Exact where `to` can hold the values, else rounded once. Returns the
// largest magnitude, NaN and infinity counted as infinity.
float convert_rows(tensor::DType from, std::span<const std::byte> rows, tensor::DType to, std::span<std::byte> out);

// The same with the encoder that searches (backend/encoding.h), for whole rows of n_cols elements. importance: [n_cols], or empty.
float quantize_rows(tensor::DType from, std::span<const std::byte> rows, tensor::DType to, std::span<std::byte> out, std::size_t n_cols,
                    std::span<const float> importance);

struct RefinedRows {
    float largest = 0.0F;  // magnitude, as above
    backend::FeedbackErrors errors;
};
// The same with error feedback, for rows of one matrix.
RefinedRows refine_rows(tensor::DType from, std::span<const std::byte> rows, tensor::DType to, std::span<std::byte> out, std::size_t n_cols,
                        std::span<const float> importance, const backend::FeedbackFactor& factor);

}  // namespace rafter::engine
