// The bandwidth probe gives a plausible number in bounded time. How fast a machine is no test can know.
#include "probe/read_bandwidth.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/os_memory.h"
#include "probe/machine_kernels.h"
#include "probe/samples.h"
#include "tests/isa_under_test.h"

namespace rafter::probe {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

TEST(ReadBandwidth, WorkingSetIsTheModelsUntilSizeMattersNoMore) {
    EXPECT_EQ(working_set_bytes(10e6, 32 * kMiB), 10'000'000U);
    EXPECT_EQ(working_set_bytes(93e6, 32 * kMiB), 93'000'000U);
    EXPECT_EQ(working_set_bytes(1e9, 32 * kMiB), 256 * kMiB);
    EXPECT_EQ(working_set_bytes(1e9, 64 * kMiB), 512 * kMiB);
    EXPECT_EQ(working_set_bytes(100e9, 512 * kMiB), 1024 * kMiB);
    EXPECT_EQ(working_set_bytes(1.0, 32 * kMiB), kMiB);
    EXPECT_EQ(working_set_bytes(1e9, std::nullopt), 256 * kMiB);
}

TEST(ReadBandwidth, IsMeasuredQuicklyWithOneThreadAndWithSeveral) {
    for (const unsigned n_threads : {1U, 3U}) {
        ThreadPool pool({.n_threads = n_threads, .pin = false});
        const std::int64_t start_ns = monotonic_ns();
        const auto speed = measure_read_bandwidth(pool, 8 * kMiB);
        const double seconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-9;
        ASSERT_TRUE(speed.has_value());
        EXPECT_GT(speed->median_bytes_per_s, 1e7);
        EXPECT_LT(speed->best_bytes_per_s, 1e14);
        EXPECT_GE(speed->best_bytes_per_s, speed->median_bytes_per_s);
        EXPECT_GE(speed->n_passes, 2U);
        EXPECT_GE(speed->spread, 0.0);
        EXPECT_LT(seconds, 30.0);
    }
}

TEST(ReadBandwidth, FewerThreadsThanThePoolHasAndTinyWorkingSetsWork) {
    ThreadPool pool({.n_threads = 3, .pin = false});
    const auto speed = measure_read_bandwidth(pool, 1, {.n_threads = 1, .isa = "scalar", .duration_ns = 1'000'000});
    ASSERT_TRUE(speed.has_value());
    EXPECT_GT(speed->best_bytes_per_s, 0.0);
}

TEST(ReadBandwidth, SaysWhenTheBufferCannotBeHad) {
    ThreadPool pool({.n_threads = 1});
    const auto speed = measure_read_bandwidth(pool, std::size_t{1} << 62U);
    ASSERT_FALSE(speed.has_value());
    EXPECT_NE(speed.error().message.find("buffer to measure bandwidth with"), std::string::npos);
}

// A reader that skipped lines would make the roof too high: a bit anywhere must change what it returns. (19: streams, and a rest.)
TEST(MachineKernels, ReadingMissesNoByte) {
    const auto buffer = PageBuffer::allocate(19 * kReadBytes, "test");
    ASSERT_TRUE(buffer.has_value());
    for (const backend::cpu::Isa isa : tests::isas_under_test(backend::cpu::available_isas())) {
        const MachineKernels& kernels = machine_kernels(isa);
        ASSERT_EQ(kernels.read(buffer->data(), 19 * kReadBytes), 0U);
        for (std::size_t i = 0; i < 19 * kReadBytes; ++i) {
            buffer->data()[i] = std::byte{1};
            ASSERT_NE(kernels.read(buffer->data(), 19 * kReadBytes), 0U) << backend::cpu::to_string(isa) << ", byte " << i;
            buffer->data()[i] = std::byte{0};
        }
    }
}

TEST(MachineKernels, ArithmeticIsDoneAndNotForeseen) {
    for (const backend::cpu::Isa isa : tests::isas_under_test(backend::cpu::available_isas())) {
        const MachineKernels& kernels = machine_kernels(isa);
        EXPECT_EQ(kernels.multiply_floats(0), 0.0F);
        EXPECT_GT(kernels.multiply_floats(100), 0.0F);
        const auto seconds = [](auto&& work) {
            double least = 1e9;
            for (int i = 0; i < 5; ++i) {
                const std::int64_t start_ns = monotonic_ns();
                work();
                least = std::min(least, static_cast<double>(monotonic_ns() - start_ns) * 1e-9);
            }
            return least;
        };
        // Ten times the rounds take several times as long, and no CPU does 10^13 operations a second on one core.
        for (const auto& [once, ten_times, ops] :
             {std::tuple{seconds([&] { (void)kernels.multiply_floats(20'000); }), seconds([&] { (void)kernels.multiply_floats(200'000); }),
                         kernels.float_ops_per_round},
              std::tuple{seconds([&] { (void)kernels.multiply_bytes(20'000); }), seconds([&] { (void)kernels.multiply_bytes(200'000); }),
                         kernels.byte_ops_per_round}}) {
            EXPECT_GT(ten_times, 3 * once) << backend::cpu::to_string(isa);
            EXPECT_LT(200'000 * ops / ten_times, 1e13) << backend::cpu::to_string(isa);
        }
    }
}

TEST(Samples, QuantilesOfKnownNumbers) {
    const Spread spread = spread_of({5.0, 1.0, 4.0, 2.0, 3.0});
    EXPECT_EQ(spread.least, 1.0);
    EXPECT_EQ(spread.first_quartile, 2.0);
    EXPECT_EQ(spread.median, 3.0);
    EXPECT_EQ(spread.third_quartile, 4.0);
    EXPECT_DOUBLE_EQ(spread.relative(), 2.0 / 3.0);
    EXPECT_EQ(spread_of({7.0}).median, 7.0);
    EXPECT_EQ(spread_of({7.0}).relative(), 0.0);
    EXPECT_EQ(spread_of({1.0, 2.0}).median, 1.5);
}

}  // namespace
}  // namespace rafter::probe
