// What the kernel says of this process's threads.
#include "base/os_cpu.h"

#include <gtest/gtest.h>

namespace rafter {
namespace {

TEST(OsCpu, WaitingForACpuIsCountedOn) {
    const auto before = waited_for_cpu_seconds();
    if (!before) GTEST_SKIP() << "the kernel keeps no /proc/self/task/*/schedstat";
    const auto after = waited_for_cpu_seconds();
    ASSERT_TRUE(after);
    EXPECT_GE(*before, 0.0);
    EXPECT_GE(*after, *before);
    EXPECT_LT(*after, 3600.0);  // nanoseconds taken for seconds would be more
}

}  // namespace
}  // namespace rafter
