// The memory roof is the best of the last hour, by machine and size of the working set.
#include "probe/memory_roof.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

namespace rafter::probe {
namespace {

namespace fs = std::filesystem;

constexpr double kBytesPerStep = 4e6;
constexpr double kTooFast = 1e18;

class MeasuredMemoryRoof : public testing::Test {
  protected:
    MeasuredMemoryRoof() { fs::remove_all(folder_); }
    ~MeasuredMemoryRoof() override { fs::remove_all(folder_); }

    nlohmann::json kept() const { return nlohmann::json::parse(std::ifstream(folder_ / "bandwidth.json")); }
    // After a first measurement: as if it had been so fast, so many seconds ago.
    void pretend(double bytes_per_s, std::int64_t seconds_ago) {
        nlohmann::json list = kept();
        list[0]["bytes_per_s"] = bytes_per_s;
        list[0]["time"] = static_cast<std::int64_t>(std::time(nullptr)) - seconds_ago;
        std::ofstream(folder_ / "bandwidth.json") << list;
    }

    fs::path folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-memory-roof-{}", getpid());
    ThreadPool pool_{{.n_threads = 1}};
};

TEST_F(MeasuredMemoryRoof, BestOfTheLastHourCounts) {
    const auto first = measure_memory_roof(folder_, pool_, kBytesPerStep);
    ASSERT_TRUE(first);
    EXPECT_GT(first->bytes_per_s, 0.0);
    EXPECT_FALSE(first->level.empty());
    ASSERT_EQ(kept().size(), 1U);
    pretend(kTooFast, 60);
    EXPECT_EQ(measure_memory_roof(folder_, pool_, kBytesPerStep)->bytes_per_s, kTooFast);
    EXPECT_EQ(kept().size(), 2U);
    pretend(kTooFast, 4000);
    EXPECT_LT(measure_memory_roof(folder_, pool_, kBytesPerStep)->bytes_per_s, kTooFast);
    EXPECT_EQ(kept().size(), 2U);  // the one that is too old went
}

TEST_F(MeasuredMemoryRoof, AnotherWorkingSetHasAnotherRoof) {
    ASSERT_TRUE(measure_memory_roof(folder_, pool_, kBytesPerStep));
    pretend(kTooFast, 0);
    EXPECT_LT(measure_memory_roof(folder_, pool_, 2 * kBytesPerStep)->bytes_per_s, kTooFast);
}

TEST_F(MeasuredMemoryRoof, NeedsNoFolderAndNoReadableFile) {
    EXPECT_TRUE(measure_memory_roof({}, pool_, kBytesPerStep));
    EXPECT_FALSE(fs::exists(folder_));
    fs::create_directories(folder_);
    std::ofstream(folder_ / "bandwidth.json") << "[1, {\"key\": 2}, {";
    EXPECT_TRUE(measure_memory_roof(folder_, pool_, kBytesPerStep));
    EXPECT_EQ(kept().size(), 1U);
}

TEST(MemoryRoof, RateAboveItIsAMeasuringError) {
    const MemoryRoof roof{.bytes_per_s = 12.6e9, .level = "memory"};
    EXPECT_EQ(compared_with_roof(6.3e9, roof), "50% of 12.6 GB/s measured (memory)");
    EXPECT_EQ(compared_with_roof(6.3e9, {.bytes_per_s = 12.6e9, .level = "L3 cache"}), "50% of 12.6 GB/s measured (fits in the L3 cache)");
    EXPECT_FALSE(above_roof(12.6e9, roof));
    EXPECT_TRUE(above_roof(12.7e9, roof));
    EXPECT_EQ(compared_with_roof(25.2e9, roof).find("200% of 12.6 GB/s measured (memory): a measuring error"), 0U);
}

}  // namespace
}  // namespace rafter::probe
