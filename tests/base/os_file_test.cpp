#include "base/os_file.h"

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

std::span<const std::byte> as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }
std::string_view as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string read(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
}

class OsFile : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-{}-{}", test->name(), getpid());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }
    [[nodiscard]] std::size_t n_files() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {})); }

    fs::path folder_;
};

TEST_F(OsFile, AMappedFileHasTheFilesBytes) {
    const std::string text(100001, 'x');
    std::ofstream(folder_ / "a", std::ios::binary) << text;
    auto opened = MappedFile::open(folder_ / "a");
    ASSERT_TRUE(opened) << opened.error().message;
    const MappedFile moved = std::move(opened).value();
    EXPECT_EQ(as_text(moved.bytes()), text);
}

TEST_F(OsFile, ReleasedPagesComeBack) {
    const std::string text(5 * 4096 + 100, 'x');
    std::ofstream(folder_ / "a", std::ios::binary) << text;
    const auto file = MappedFile::open(folder_ / "a");
    for (const auto& [begin, size] :
         {std::pair<std::size_t, std::size_t>{0, text.size()}, {1, 4096}, {4096, 8192}, {5 * 4096, 100}, {7, 0}}) {
        file->will_need(file->bytes().subspan(begin, size));
        file->release(file->bytes().subspan(begin, size));
        EXPECT_EQ(as_text(file->bytes()), text);
    }
}

TEST_F(OsFile, AnEmptyFileHasNoBytes) {
    std::ofstream(folder_ / "empty").flush();
    EXPECT_TRUE(MappedFile::open(folder_ / "empty")->bytes().empty());
}

TEST_F(OsFile, OnlyRegularFilesAreMapped) {
    EXPECT_EQ(MappedFile::open(folder_).error().message, folder_.string() + ": expected a regular file, found a folder");
    const fs::path pipe = folder_ / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(MappedFile::open(pipe).error().message, pipe.string() + ": expected a regular file, found something else");
    const auto missing = MappedFile::open(folder_ / "none");
    EXPECT_EQ(missing.error().message, (folder_ / "none").string() + ": cannot open: No such file or directory");
    EXPECT_EQ(missing.error().kind, ErrorKind::kIo);
}

TEST_F(OsFile, AnAtomicFileAppearsWhole) {
    const fs::path path = folder_ / "out";
    std::ofstream(path) << "before";
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->write(as_bytes("after ")));
    ASSERT_TRUE(file->write(as_bytes("wards")));
    EXPECT_EQ(read(path), "before");
    ASSERT_TRUE(file->commit());
    EXPECT_EQ(read(path), "after wards");
    EXPECT_EQ(n_files(), 1u);
}

TEST_F(OsFile, AnAtomicFileThatIsNotCommittedLeavesNothingBehind) {
    {
        auto file = AtomicFile::create(folder_ / "out");
        ASSERT_TRUE(file->write(as_bytes("half")));
        const AtomicFile moved = std::move(file).value();
        EXPECT_EQ(n_files(), 1u);
    }
    EXPECT_EQ(n_files(), 0u);
}

TEST_F(OsFile, AnAtomicFileKeepsALinkALink) {
    std::ofstream(folder_ / "real") << "before";
    fs::create_symlink("real", folder_ / "link");
    auto file = AtomicFile::create(folder_ / "link");
    ASSERT_TRUE(file->write(as_bytes("after")));
    ASSERT_TRUE(file->commit());
    EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
    EXPECT_EQ(read(folder_ / "real"), "after");
}

TEST_F(OsFile, AnAtomicFileReplacesNeitherFoldersNorDevices) {
    EXPECT_EQ(AtomicFile::create(folder_).error().message,
              folder_.string() + ": cannot write: expected a regular file or none, found a folder");
    EXPECT_EQ(AtomicFile::create("/dev/null").error().message,
              "/dev/null: cannot write: expected a regular file or none, found something else");
    EXPECT_EQ(AtomicFile::create(folder_ / "no" / "such").error().kind, ErrorKind::kIo);
}

// A limit on the size of files makes write() fail as a full disk does.
TEST_F(OsFile, AWriteThatFailsLeavesTheOldFileInItsPlace) {
    const fs::path path = folder_ / "out";
    std::ofstream(path) << "before";
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
    const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    {
        auto file = AtomicFile::create(path);
        const auto written = file->write(as_bytes(std::string(10000, 'x')));
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().message, path.string() + ": cannot write: File too large");
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, old_handler);
    EXPECT_EQ(read(path), "before");
    EXPECT_EQ(n_files(), 1u);
}

}  // namespace
}  // namespace rafter
