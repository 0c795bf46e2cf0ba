// cgroup limits, read from folders that look as the kernel's do.
#include "base/os_cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace rafter {
namespace {

namespace fs = std::filesystem;

class Cgroup : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "rafter_cgroup_XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        root_ = name;
    }
    void TearDown() override { fs::remove_all(root_); }
    void write(const std::string& name, const std::string& text) const {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name) << text;
    }
    [[nodiscard]] CgroupLimits read() const { return read_cgroup_limits({root_ / "self", root_ / "sys"}); }

    fs::path root_;
};

TEST_F(Cgroup, NoFilesMeanNoLimits) {
    const CgroupLimits limits = read();
    EXPECT_FALSE(limits.cpus);
    EXPECT_FALSE(limits.memory_bytes);
    EXPECT_FALSE(limits.memory_available);
}

TEST_F(Cgroup, VersionTwoTakesTheTightestOnTheWayUp) {
    write("self", "0::/a/b\n");
    write("sys/a/b/cpu.max", "max 100000\n");
    write("sys/a/cpu.max", "150000 100000\n");
    write("sys/a/b/memory.max", "4000\n");
    write("sys/a/b/memory.current", "3000\n");
    write("sys/a/b/memory.stat", "anon 1\ninactive_file 500\n");
    write("sys/a/memory.max", "max\n");
    const CgroupLimits limits = read();
    EXPECT_EQ(limits.cpus, 1.5);
    EXPECT_EQ(limits.memory_bytes, 4000U);
    EXPECT_EQ(limits.memory_available, 1500U);
}

TEST_F(Cgroup, AParentThatIsFullLeavesNothing) {
    write("self", "0::/a/b\n");
    write("sys/a/b/memory.max", "4000\n");
    write("sys/a/memory.max", "9000\n");
    write("sys/a/memory.current", "9500\n");
    EXPECT_EQ(read().memory_bytes, 4000U);
    EXPECT_EQ(read().memory_available, 0U);
}

TEST_F(Cgroup, APathOfTheHostFallsBackToTheMountPoint) {
    write("self", "0::/../../kubepods/pod1\n");
    write("sys/cpu.max", "200000 100000\n");
    EXPECT_EQ(read().cpus, 2.0);
}

TEST_F(Cgroup, VersionOneReadsQuotaAndMemory) {
    write("self", "7:memory:/m\n3:cpu,cpuacct:/c\n1:name=systemd:/x\n");
    write("sys/cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n");
    write("sys/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
    write("sys/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    write("sys/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    write("sys/memory/m/memory.limit_in_bytes", "1000000\n");
    write("sys/memory/m/memory.usage_in_bytes", "600000\n");
    write("sys/memory/memory.limit_in_bytes", "9223372036854771712\n");
    const CgroupLimits limits = read();
    EXPECT_EQ(limits.cpus, 0.5);
    EXPECT_EQ(limits.memory_bytes, 1000000U);
    EXPECT_EQ(limits.memory_available, 400000U);
}

TEST_F(Cgroup, NonsenseIsNoLimit) {
    write("self", "garbage\n0::/a\n:\n");
    write("sys/a/cpu.max", "-5 0\n");
    write("sys/a/memory.max", "many\n");
    EXPECT_FALSE(read().cpus);
    EXPECT_FALSE(read().memory_bytes);
}

}  // namespace
}  // namespace rafter
