#include "base/os_line_history.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace rafter {
namespace {

namespace fs = std::filesystem;

class LineHistory : public testing::Test {
  protected:
    LineHistory()
        : folder_(fs::path(testing::TempDir()) / ("line_history_test_" + std::to_string(getpid()))), path_(folder_ / "data" / "history") {
        fs::remove_all(folder_);
    }
    ~LineHistory() override { fs::remove_all(folder_); }
    fs::path folder_, path_;
};

TEST_F(LineHistory, GivesBackWhatWasAppended) {
    EXPECT_TRUE(read_line_history(path_, 10).empty());
    const std::vector<std::string> lines{"one", "two\nlines", "C:\\new \\", "日本"};
    for (const std::string& line : lines) append_line_history(path_, line);
    EXPECT_EQ(read_line_history(path_, 10), lines);
    EXPECT_EQ(read_line_history(path_, 2), (std::vector<std::string>{"C:\\new \\", "日本"}));
}

TEST_F(LineHistory, IsItsUsersAloneWhateverTheUmask) {
    const mode_t before = ::umask(0);
    append_line_history(path_, "secret");
    ::umask(before);
    EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    fs::permissions(path_, fs::perms::all);
    append_line_history(path_, "more");
    EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(LineHistory, DoesNotGrowForEver) {
    for (int i = 0; i < 21; ++i) append_line_history(path_, std::to_string(i));
    EXPECT_EQ(read_line_history(path_, 10).front(), "11");
    std::ifstream file(path_);
    EXPECT_EQ(std::count(std::istreambuf_iterator<char>(file), {}, '\n'), 10);
    EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(LineHistory, WhatIsNoFileIsLeftAlone) {
    fs::create_directories(path_);
    append_line_history(path_, "x");
    EXPECT_TRUE(read_line_history(path_, 10).empty());
    append_line_history("/dev/null", "x");
}

}  // namespace
}  // namespace rafter
