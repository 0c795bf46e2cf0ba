#include "base/os_append_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

namespace rafter {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
}

class OsAppendFile : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-append-{}-{}", test->name(), getpid());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    fs::path folder_;
};

TEST_F(OsAppendFile, KeepsWhatIsThereAndAppends) {
    std::ofstream(folder_ / "a") << "one\n";
    {
        auto file = AppendFile::open(folder_ / "a");
        ASSERT_TRUE(file) << file.error().message;
        EXPECT_TRUE(file->is_regular());
        EXPECT_EQ(file->size_bytes(), 4U);
        AppendFile moved = *std::move(file);
        ASSERT_TRUE(moved.append("two\n"));
        ASSERT_TRUE(moved.append(""));
        EXPECT_EQ(moved.size_bytes(), 8U);
        EXPECT_EQ(contents(folder_ / "a"), "one\ntwo\n");  // before any sync: a kill would lose nothing
        ASSERT_TRUE(moved.sync());
    }
    EXPECT_EQ(contents(folder_ / "a"), "one\ntwo\n");
}

TEST_F(OsAppendFile, CutsOffTheEnd) {
    std::ofstream(folder_ / "a") << "one\ntw";
    auto file = AppendFile::open(folder_ / "a");
    ASSERT_TRUE(file->cut(4));
    ASSERT_TRUE(file->append("three\n"));
    EXPECT_EQ(contents(folder_ / "a"), "one\nthree\n");
}

TEST_F(OsAppendFile, RefusesASecondWriterUntilTheFirstIsGone) {
    {
        const auto file = AppendFile::open(folder_ / "a");
        ASSERT_TRUE(file);
        const auto second = AppendFile::open(folder_ / "a");
        ASSERT_FALSE(second);
        EXPECT_NE(second.error().message.find("another process is writing"), std::string::npos);
    }
    EXPECT_TRUE(AppendFile::open(folder_ / "a"));
}

TEST_F(OsAppendFile, AFailedAppendLeavesNothingBehind) {
    auto file = AppendFile::open(folder_ / "a");
    ASSERT_TRUE(file->append("0123456789\n"));
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{16, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const auto written = file->append("abcdefghij\n");  // 5 of its 11 bytes fit
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind, ErrorKind::kIo);
    EXPECT_EQ(contents(folder_ / "a"), "0123456789\n");
    ASSERT_TRUE(file->append("again\n"));
    EXPECT_EQ(contents(folder_ / "a"), "0123456789\nagain\n");
}

TEST_F(OsAppendFile, WritesToDevicesAsTheyCome) {
    auto full = AppendFile::open("/dev/full");
    ASSERT_TRUE(full);
    EXPECT_FALSE(full->is_regular());
    EXPECT_TRUE(full->append(""));
    const auto written = full->append("x");
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().message.find("/dev/full: cannot write: No space left"), std::string::npos) << written.error().message;
    auto null = AppendFile::open("/dev/null");
    EXPECT_TRUE(null->append("x"));
    EXPECT_TRUE(null->sync());
}

TEST_F(OsAppendFile, SaysWhyAPathCannotBeWritten) {
    EXPECT_FALSE(AppendFile::open(folder_));
    EXPECT_FALSE(AppendFile::open(folder_ / "nowhere" / "a"));
    mkfifo((folder_ / "pipe").c_str(), 0600);
    EXPECT_FALSE(AppendFile::open(folder_ / "pipe"));  // nobody reads: an error, not a wait
}

}  // namespace
}  // namespace rafter
