// What a process uses, of the test's own.
#include "base/os_process_use.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <vector>

namespace rafter {
namespace {

TEST(ProcessUse, GrowsWithWhatTheProcessUses) {
    const ProcessUse before = read_process_use();
    EXPECT_GT(before.resident_bytes, 100'000U);
    EXPECT_GE(before.virtual_bytes, before.resident_bytes);
    EXPECT_GE(before.max_open_files, before.n_open_files);
    EXPECT_GE(before.n_open_files, 1U);

    std::vector<std::ifstream> files;
    for (int i = 0; i < 5; ++i) files.emplace_back("/proc/self/stat");
    const std::vector<char> memory(50'000'000, 'x');
    double cpu_seconds = before.cpu_seconds;
    while (cpu_seconds <= before.cpu_seconds) cpu_seconds = read_process_use().cpu_seconds;  // it takes CPU time by itself
    const ProcessUse after = read_process_use();
    EXPECT_EQ(after.n_open_files, before.n_open_files + 5);
    EXPECT_GT(after.resident_bytes, before.resident_bytes + 40'000'000U) << memory[7];
    EXPECT_NEAR(after.start_seconds, before.start_seconds, 1.0);
}

TEST(ProcessUse, StartedBeforeNowAndNotLongAgo) {
    const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    const double started = read_process_use().start_seconds;
    EXPECT_LE(started, now + 1.0);
    EXPECT_GT(started, now - 24.0 * 3600.0);
}

}  // namespace
}  // namespace rafter
