// The median of measurements.
#pragma once

#include <algorithm>
#include <vector>

namespace rafter {

// Of an even number, the mean of the two in the middle. values: at least one.
[[nodiscard]] inline double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t n = values.size();
    return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

}  // namespace rafter
