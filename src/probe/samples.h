// Repeated timings of one thing. Whatever else uses the machine only ever makes one longer, so the lowest tenth is what the thing takes
// when left alone, less a lucky one's luck; how far the middle half lies apart says whether the machine was quiet.
#pragma once

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace rafter::probe {

struct Spread {
    double least = 0.0;
    double first_decile = 0.0;
    double first_quartile = 0.0;
    double median = 0.0;
    double third_quartile = 0.0;

    // Of things that are done one after the other.
    Spread& operator+=(const Spread& other) {
        least += other.least;
        first_decile += other.first_decile;
        first_quartile += other.first_quartile;
        median += other.median;
        third_quartile += other.third_quartile;
        return *this;
    }
    // Half of all lie within this fraction of the median.
    [[nodiscard]] double relative() const { return median > 0.0 ? (third_quartile - first_quartile) / median : 0.0; }
};

// Of at least one value. Quantiles between two values are interpolated.
[[nodiscard]] inline Spread spread_of(std::vector<double> values) {
    RAFTER_CHECK(!values.empty());
    std::sort(values.begin(), values.end());
    const auto quantile = [&](double q) {
        const double at = q * static_cast<double>(values.size() - 1);
        const auto low = static_cast<std::size_t>(at);
        const std::size_t high = std::min(low + 1, values.size() - 1);
        return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
    };
    return {.least = values.front(),
            .first_decile = quantile(0.1),
            .first_quartile = quantile(0.25),
            .median = quantile(0.5),
            .third_quartile = quantile(0.75)};
}

}  // namespace rafter::probe
