// What each column of a tensor counts when it is encoded, from an importance matrix.
#pragma once

#include <vector>

#include "base/result.h"
#include "files/imatrix_file.h"
#include "files/tensor_source.h"

namespace rafter::engine {

// [matrices stacked in the tensor, n_cols], 1 on average in each matrix and nowhere 0; empty where the matrix has no entry for the tensor.
// Fails where its entry is of another shape.
[[nodiscard]] Result<std::vector<float>> tensor_importance(const files::NamedTensor& tensor, const files::ImportanceMatrix& matrix);

}  // namespace rafter::engine
