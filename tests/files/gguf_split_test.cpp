// Models in several files, as gguf-split makes them: NAME-00001-of-00003.gguf and so on.
#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "tests/files/raw_gguf.h"

namespace rafter::files {
namespace {

namespace fs = std::filesystem;

class GgufSplit : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-split-{}-{}", test->name(), getpid());
        fs::create_directories(folder_);
        for (std::uint16_t no = 0; no < 3; ++no) {
            parts_[no].entries = {
                {"split.no", 2, raw(no)}, {"split.count", 2, raw<std::uint16_t>(3)}, {"split.tensors.count", 5, raw<std::int32_t>(3)}};
            parts_[no].tensors = {{fmt::format("t{}", no), {2}, 0, 0}};
            parts_[no].data = std::string(8, static_cast<char>('a' + no));
        }
        parts_[0].entries.push_back({"general.architecture", 8, raw_string("llama")});
    }
    void TearDown() override { fs::remove_all(folder_); }

    [[nodiscard]] fs::path path(int number, int count = 3) const { return folder_ / fmt::format("m-{:05}-of-{:05}.gguf", number, count); }
    void write() const {
        for (int no = 0; no < 3; ++no) write(path(no + 1), parts_[no]);
    }
    static void write(const fs::path& path, const RawFile& file) { std::ofstream(path, std::ios::binary) << file.bytes(); }
    [[nodiscard]] static std::string refusal_of(const fs::path& path) {
        const auto file = GgufFile::open(path);
        return file ? "" : file.error().message;
    }

    fs::path folder_;
    std::array<RawFile, 3> parts_;
};

TEST_F(GgufSplit, AnyPartOpensAllOfThem) {
    write();
    for (int number = 1; number <= 3; ++number) {
        const auto file = GgufFile::open(path(number));
        ASSERT_TRUE(file) << file.error().message;
        EXPECT_EQ(file->name(), path(1).string());
        EXPECT_EQ(file->metadata().get_string("general.architecture").value(), "llama");
        EXPECT_EQ(file->size_bytes(), fs::file_size(path(1)) + fs::file_size(path(2)) + fs::file_size(path(3)));
        ASSERT_EQ(file->tensors().size(), 3u);
        for (int no = 0; no < 3; ++no) {
            const NamedTensor* tensor = file->find_tensor(fmt::format("t{}", no));
            ASSERT_EQ(tensor, &file->tensors()[no]);
            EXPECT_EQ(static_cast<char>(tensor->bytes[7]), 'a' + no);
            file->will_need(*tensor);
            file->release(*tensor, 0, tensor->n_rows());
            EXPECT_EQ(static_cast<char>(tensor->bytes[7]), 'a' + no) << "released bytes come back from the file";
        }
    }
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
    write();
    fs::remove(path(2));
    EXPECT_EQ(refusal_of(path(3)),
              fmt::format("{}: part 2 of 3: {}: cannot open: No such file or directory", path(3).string(), path(2).string()));
}

TEST_F(GgufSplit, ABrokenPartIsNamed) {
    parts_[1].magic = "FUGG";
    write();
    EXPECT_EQ(refusal_of(path(1)),
              fmt::format("{}: part 2 of 3: {}: magic at byte 0: expected \"GGUF\", found \"FUGG\": this is not a GGUF file",
                          path(1).string(), path(2).string()));
}

TEST_F(GgufSplit, ARenamedPartCannotFindItsSiblings) {
    write();
    const fs::path other = folder_ / "model.gguf";
    fs::rename(path(2), other);
    EXPECT_EQ(refusal_of(other),
              fmt::format("{}: expected a name that ends in -00002-of-00003.gguf, as this is part 2 of 3; the other parts cannot "
                          "be found without it",
                          other.string()));
}

TEST_F(GgufSplit, PartsMustBeOfOneModel) {
    parts_[1].entries[1].payload = raw<std::uint16_t>(4);  // split.count
    write();
    EXPECT_EQ(refusal_of(path(1)),
              fmt::format("{}: expected part 2 of 3 with 3 tensors in all, found part 2 of 4 with 3 tensors in all", path(2).string()));
    parts_[1].entries[1].payload = raw<std::uint16_t>(3);
    parts_[1].entries[0].payload = raw<std::uint16_t>(2);  // split.no
    write();
    EXPECT_EQ(refusal_of(path(1)),
              fmt::format("{}: expected part 2 of 3 with 3 tensors in all, found part 3 of 3 with 3 tensors in all", path(2).string()));
    parts_[1].entries[0].payload = raw<std::uint16_t>(1);
    parts_[1].entries[2].payload = raw<std::int32_t>(5);  // split.tensors.count
    write();
    EXPECT_EQ(refusal_of(path(1)),
              fmt::format("{}: expected part 2 of 3 with 3 tensors in all, found part 2 of 3 with 5 tensors in all", path(2).string()));
}

TEST_F(GgufSplit, AllTensorsMustBeThere) {
    for (RawFile& part : parts_) part.entries[2].payload = raw<std::int32_t>(4);
    write();
    EXPECT_EQ(refusal_of(path(1)),
              fmt::format("{}: expected the 4 tensors that split.tensors.count says, found 3 in 3 parts", path(1).string()));
}

TEST_F(GgufSplit, ATensorMayBeInOnePartOnly) {
    parts_[2].tensors[0].name = "t0";
    write();
    EXPECT_EQ(refusal_of(path(1)), fmt::format("{}: tensor \"t0\": expected each name once, found it again", path(1).string()));
}

TEST_F(GgufSplit, AFileThatWasMergedIsAWholeFile) {
    parts_[0].entries[1].payload = raw<std::uint16_t>(0);  // what gguf-split --merge leaves behind
    write(folder_ / "merged.gguf", parts_[0]);
    EXPECT_EQ(refusal_of(folder_ / "merged.gguf"), "");
}

TEST_F(GgufSplit, WhatIsNoFileIsRefused) {
    EXPECT_EQ(refusal_of(folder_), folder_.string() + ": expected a regular file, found a folder");
    EXPECT_EQ(refusal_of("/dev/zero"), "/dev/zero: expected a regular file, found something else");
    EXPECT_EQ(refusal_of(folder_ / "none"), (folder_ / "none").string() + ": cannot open: No such file or directory");
    std::ofstream(folder_ / "empty").flush();
    EXPECT_EQ(refusal_of(folder_ / "empty"),
              (folder_ / "empty").string() + ": magic at byte 0: expected 4 bytes, found 0 before the file ends: is it cut off?");
}

}  // namespace
}  // namespace rafter::files
