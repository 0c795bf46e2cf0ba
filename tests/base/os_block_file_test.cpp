#include "base/os_block_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

namespace rafter {
namespace {

namespace fs = std::filesystem;

class OsBlockFile : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-blocks-{}-{}", test->name(), getpid());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    static std::vector<std::byte> bytes(std::size_t n, int value) { return std::vector<std::byte>(n, static_cast<std::byte>(value)); }

    fs::path folder_;
};

TEST_F(OsBlockFile, ReadsWhatWasWrittenAndZerosInHoles) {
    {
        auto file = BlockFile::open(folder_ / "a");
        ASSERT_TRUE(file) << file.error().message;
        ASSERT_TRUE(file->write_at(10'000, bytes(100, 7)));
        EXPECT_EQ(*file->size_bytes(), 10'100U);
        struct stat status {};
        ASSERT_EQ(::stat((folder_ / "a").c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0600U);  // prompts are private
    }
    auto file = BlockFile::open(folder_ / "a");
    ASSERT_TRUE(file);
    std::vector<std::byte> read = bytes(300, 1);
    EXPECT_EQ(*file->read_at(9'900, read), 200U);
    EXPECT_EQ(read[99], std::byte{0});
    EXPECT_EQ(read[100], std::byte{7});
    EXPECT_EQ(read[199], std::byte{7});
    EXPECT_EQ(*file->read_at(20'000, read), 0U);
    ASSERT_TRUE(file->cut(50));
    EXPECT_EQ(*file->size_bytes(), 50U);
    file->will_need(0, 1U << 20U);
}

TEST_F(OsBlockFile, IsOnePersonsAtATime) {
    auto first = BlockFile::open(folder_ / "a");
    ASSERT_TRUE(first);
    const auto second = BlockFile::open(folder_ / "a");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::kBusy);
    EXPECT_NE(second.error().message.find("another process"), std::string::npos);
    { const BlockFile gone = *std::move(first); }
    EXPECT_TRUE(BlockFile::open(folder_ / "a"));
}

TEST_F(OsBlockFile, TakesRegularFilesOnly) {
    for (const fs::path& path : {fs::path("/dev/full"), fs::path("/dev/null"), folder_, folder_ / "nowhere" / "a"}) {
        const auto file = BlockFile::open(path);
        ASSERT_FALSE(file) << path;
        EXPECT_EQ(file.error().kind, ErrorKind::kIo);
        EXPECT_NE(file.error().message.find(path.string()), std::string::npos);
    }
    mkfifo((folder_ / "pipe").c_str(), 0600);
    EXPECT_FALSE(BlockFile::open(folder_ / "pipe"));  // an error, not a wait
}

TEST_F(OsBlockFile, SaysWhenThereIsNoMoreRoom) {
    auto file = BlockFile::open(folder_ / "a");
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{1000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const auto written = file->write_at(900, bytes(200, 1));
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind, ErrorKind::kIo);
    EXPECT_TRUE(file->write_at(900, bytes(200, 1)));
}

}  // namespace
}  // namespace rafter
