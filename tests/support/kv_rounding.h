// What each type of the KV cache makes of a head's row: plain code that shares nothing with the kernels.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"

namespace rafter::backend {

// A head's key or value as the cache holds it.
[[nodiscard]] std::vector<float> rounded_row(std::span<const float> row, KvType type);

// How far an element of the row may be from what the cache makes of it, at most; [n]. Infinite where the type has no number for it.
[[nodiscard]] std::vector<double> rounding_bounds(std::span<const float> row, KvType type);

}  // namespace rafter::backend
