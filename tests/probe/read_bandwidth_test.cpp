// The bandwidth probe gives a plausible number in bounded time. How fast a machine is no test can know.
#include "probe/read_bandwidth.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace rafter::probe {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

TEST(ReadBandwidth, WorkingSetFollowsTheModelIntoTheCacheAndExceedsTheCacheOtherwise) {
    EXPECT_EQ(working_set_bytes(10e6, 32 * kMiB), 10'000'000U);
    EXPECT_EQ(working_set_bytes(100e6, 32 * kMiB), 128 * kMiB);
    EXPECT_EQ(working_set_bytes(100e6, 8 * kMiB), 128 * kMiB);
    EXPECT_EQ(working_set_bytes(100e9, 512 * kMiB), 1024 * kMiB);
    EXPECT_EQ(working_set_bytes(1.0, 32 * kMiB), kMiB);
    EXPECT_EQ(working_set_bytes(1.0, std::nullopt), 256 * kMiB);
}

TEST(ReadBandwidth, IsMeasuredQuicklyWithOneThreadAndWithSeveral) {
    for (const unsigned n_threads : {1U, 3U}) {
        ThreadPool pool({.n_threads = n_threads, .pin = false});
        const std::int64_t start_ns = monotonic_ns();
        const auto bandwidth = measure_read_bandwidth(pool, 8 * kMiB);
        const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        ASSERT_TRUE(bandwidth.has_value());
        EXPECT_GT(*bandwidth, 1e7);
        EXPECT_LT(*bandwidth, 1e14);
        EXPECT_LT(seconds, 30.0);
    }
}

TEST(ReadBandwidth, SaysWhenTheBufferCannotBeHad) {
    ThreadPool pool({.n_threads = 1});
    const auto bandwidth = measure_read_bandwidth(pool, std::size_t{1} << 62U);
    ASSERT_FALSE(bandwidth.has_value());
    EXPECT_NE(bandwidth.error().message.find("buffer to measure bandwidth with"), std::string::npos);
}

}  // namespace
}  // namespace rafter::probe
