// Means of squares, made alike in size.
#include "engine/convert/tensor_importance.h"

#include <algorithm>
#include <span>

namespace rafter::engine {

namespace {

// What a column must count at least, as a part of the mean: a text that never used it is no proof that nobody will.
constexpr float kLeastImportance = 1e-3F;

}  // namespace

Result<std::vector<float>> tensor_importance(const files::NamedTensor& tensor, const files::ImportanceMatrix& matrix) {
    const auto entry = matrix.entries.find(tensor.name);
    if (entry == matrix.entries.end()) return std::vector<float>{};
    const std::size_t n_cols = tensor.shape.back();
    const std::size_t n_matrices = tensor.shape.size() > 2 ? tensor.n_rows() / tensor.shape[tensor.shape.size() - 2] : 1;
    auto means = files::mean_squares(entry->second, n_matrices, n_cols);
    if (!means) return means.error().within(fmt::format("importance of {}", tensor.name));
    for (std::size_t m = 0; m < n_matrices; ++m) {
        const std::span<float> columns = std::span(*means).subspan(m * n_cols, n_cols);
        double sum = 0.0;
        for (const float x : columns) sum += x;
        const double mean = sum / static_cast<double>(n_cols);
        // All alike, and in a range where no product overflows.
        for (float& x : columns) x = mean > 0 ? std::max(static_cast<float>(x / mean), kLeastImportance) : 1.0F;
    }
    return means;
}

}  // namespace rafter::engine
