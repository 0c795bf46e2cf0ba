// Quantiles of counts in bins against those of the sorted samples.
#include "base/log_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace rafter {
namespace {

TEST(LogHistogram, QuantilesLieWithinAPercentOfTheSortedSamples) {
    std::mt19937 random(1);
    std::lognormal_distribution<double> draw(-4.0, 2.0);
    LogHistogram histogram;
    std::vector<double> samples;
    for (int i = 0; i < 20'000; ++i) {
        samples.push_back(draw(random));
        histogram.add(samples.back());
    }
    std::sort(samples.begin(), samples.end());
    for (const double fraction : {0.0, 0.1, 0.5, 0.9, 0.99, 1.0}) {
        const double exact = samples[static_cast<std::size_t>(fraction * 19'999.0)];
        EXPECT_NEAR(histogram.quantile(fraction), exact, 0.011 * exact) << fraction;
    }
    EXPECT_EQ(LogHistogram().quantile(0.5), 0.0);
}

TEST(LogHistogram, ASampleBeyondItsRangeCountsAsTheLargest) {
    for (const double most : {1e30, std::numeric_limits<double>::infinity()}) {
        LogHistogram histogram;
        histogram.add(1.0);
        histogram.add(most);
        EXPECT_NEAR(histogram.quantile(0.0), 1.0, 0.011);
        EXPECT_GT(histogram.quantile(1.0), 1e5);
    }
}

}  // namespace
}  // namespace rafter
