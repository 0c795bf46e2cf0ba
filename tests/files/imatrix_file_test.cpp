// Importance matrices: what is written is read back, llama.cpp's two forms are read, and files that lie are refused in one line.
#include "files/imatrix_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/os_file.h"
#include "tests/files/raw_gguf.h"

namespace rafter::files {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string raw_floats(const std::vector<float>& values) {
    std::string out;
    for (const float value : values) out += raw(value);
    return out;
}

// What an importance matrix of two tensors looks like as other tools write it: with tensors that we do not need, NaN among them.
struct GoodFile {
    std::string type = "imatrix";
    std::vector<std::uint64_t> sums_shape = {3, 2};  // innermost first
    std::vector<std::uint64_t> counts_shape = {1, 2};
    std::vector<float> sums = {1, 2, 3, 4, 5, 6};
    std::vector<float> counts = {10, 20};
    std::string sums_name = "blk.0.a.weight.in_sum2";
    std::string counts_name = "blk.0.a.weight.counts";
    std::uint32_t sums_type = 0;
    RawEntry chunk_size{"imatrix.chunk_size", 4, raw<std::uint32_t>(512)};

    [[nodiscard]] RawFile file() const {
        RawFile file;
        file.entries = {{"general.type", 8, raw_string(type)},
                        {"imatrix.datasets", 9, raw_strings({"a.txt", "b.txt"})},
                        {"imatrix.chunk_count", 4, raw<std::uint32_t>(7)},
                        chunk_size};
        const auto add = [&](const std::string& name, const std::vector<std::uint64_t>& shape, std::uint32_t dtype,
                             const std::vector<float>& values) {
            file.data.resize((file.data.size() + 31) / 32 * 32);
            file.tensors.push_back({name, shape, dtype, file.data.size()});
            file.data += raw_floats(values);
        };
        add(sums_name, sums_shape, sums_type, sums);
        add(counts_name, counts_shape, 0, counts);
        add("blk.0.a.weight.stats", {2}, 0, {kNan, -1});
        add("blk.0.a.weight.in_sum", {6}, 0, {-1, -2, -3, -4, -5, -6});
        add("b.in_sum2", {4}, 0, {1, 0, 0, 1});
        add("b.counts", {1}, 0, {3});
        return file;
    }
};

// Parsed from a copy of the exact size, so that AddressSanitizer sees a byte too far.
Result<ImportanceMatrix> parsed_matrix(const std::string& bytes) {
    const std::vector<char> copy(bytes.begin(), bytes.end());
    return parse_imatrix(as_bytes({copy.data(), copy.size()}), "x.imatrix");
}

std::string why_not(const std::string& bytes) {
    const auto matrix = parsed_matrix(bytes);
    if (matrix) return "";
    EXPECT_EQ(matrix.error().message.find('\n'), std::string::npos);
    EXPECT_TRUE(matrix.error().message.starts_with("x.imatrix: ")) << matrix.error().message;
    return matrix.error().message;
}
std::string why_not(const GoodFile& file) { return why_not(file.file().bytes()); }

void expect_in(const std::string& part, const std::string& message) {
    EXPECT_NE(message.find(part), std::string::npos) << "found: " << message << "\nexpected in it: " << part;
}

std::string dat_entry(const std::string& name, std::int32_t n_chunks, const std::vector<float>& values) {
    return raw(static_cast<std::int32_t>(name.size())) + name + raw(n_chunks) + raw(static_cast<std::int32_t>(values.size())) +
           raw_floats(values);
}

TEST(ImatrixFile, OfOtherToolsIsRead) {
    const auto matrix = parsed_matrix(GoodFile().file().bytes());
    ASSERT_TRUE(matrix) << matrix.error().message;
    EXPECT_EQ(matrix->datasets, (std::vector<std::string>{"a.txt", "b.txt"}));
    EXPECT_EQ(matrix->n_chunks, 7U);
    EXPECT_EQ(matrix->chunk_tokens, 512U);
    ASSERT_EQ(matrix->entries.size(), 2U);
    const ImportanceEntry& a = matrix->entries.at("blk.0.a.weight");
    EXPECT_EQ(a.n_matrices, 2U);
    EXPECT_EQ(a.sum_squares, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(a.counts, (std::vector<float>{10, 20}));
    EXPECT_EQ(matrix->entries.at("b").n_matrices, 1U);
    EXPECT_EQ(matrix->entries.at("b").sum_squares, (std::vector<float>{1, 0, 0, 1}));
}

TEST(ImatrixFile, KeepsOneCountForAStackOfMatrices) {
    GoodFile file;
    file.counts_shape = {1};
    file.counts = {10};
    const auto matrix = parsed_matrix(file.file().bytes());
    ASSERT_TRUE(matrix) << matrix.error().message;
    const ImportanceEntry& entry = matrix->entries.at("blk.0.a.weight");
    EXPECT_EQ(entry.n_matrices, 1U);
    const auto means = mean_squares(entry, 2, 3);
    ASSERT_TRUE(means);
    EXPECT_FLOAT_EQ((*means)[5], 0.6F);
}

TEST(ImatrixFile, IsReadAsItWasWritten) {
    ImportanceMatrix matrix{.entries = {}, .datasets = {"some text", ""}, .chunk_tokens = 256, .n_chunks = 3};
    matrix.entries["blk.0.ffn_down_exps.weight"] = {.n_matrices = 3, .sum_squares = {0.5F, 1e-30F, 0, 0, 1e30F, 7}, .counts = {1, 0, 9}};
    matrix.entries["output.weight"] = {.n_matrices = 1, .sum_squares = {3, 2, 1}, .counts = {4}};
    const auto path = std::filesystem::path(testing::TempDir()) / "written.imatrix.gguf";
    const auto written = write_imatrix(path, matrix);
    ASSERT_TRUE(written) << written.error().message;
    const auto found = read_imatrix(path);
    std::filesystem::remove(path);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->datasets, matrix.datasets);
    EXPECT_EQ(found->chunk_tokens, 256U);
    EXPECT_EQ(found->n_chunks, 3U);
    ASSERT_EQ(found->entries.size(), 2U);
    for (const auto& [name, entry] : matrix.entries) {
        EXPECT_EQ(found->entries.at(name).n_matrices, entry.n_matrices);
        EXPECT_EQ(found->entries.at(name).sum_squares, entry.sum_squares);
        EXPECT_EQ(found->entries.at(name).counts, entry.counts);
    }
}

TEST(ImatrixFile, ThatCannotBeReadAgainIsNotWritten) {
    const auto path = std::filesystem::path(testing::TempDir()) / "never.imatrix.gguf";
    ImportanceMatrix bad;
    bad.entries["a"] = {.n_matrices = 1, .sum_squares = {1, kInfinity}, .counts = {1}};
    EXPECT_FALSE(write_imatrix(path, bad));
    bad.entries.clear();
    bad.entries[std::string(60, 'n')] = {.n_matrices = 1, .sum_squares = {1}, .counts = {1}};
    EXPECT_FALSE(write_imatrix(path, bad));
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ImatrixFile, OfTheOlderFormIsRead) {
    const std::string entries = raw<std::int32_t>(2) + dat_entry("a", 4, {8, 4}) + dat_entry("b", 0, {2});
    for (const bool with_end : {false, true}) {
        const auto matrix = parsed_matrix(entries + (with_end ? raw<std::int32_t>(4) + raw<std::int32_t>(5) + "c.txt" : ""));
        ASSERT_TRUE(matrix) << matrix.error().message;
        const auto means = mean_squares(matrix->entries.at("a"), 1, 2);
        ASSERT_TRUE(means);
        EXPECT_EQ(*means, (std::vector<float>{2, 1}));
        EXPECT_EQ(mean_squares(matrix->entries.at("b"), 1, 1).value(), std::vector<float>{2});  // of no chunk: a mean as it is
        EXPECT_EQ(matrix->n_chunks, with_end ? 4U : 0U);
        EXPECT_EQ(matrix->datasets, with_end ? std::vector<std::string>{"c.txt"} : std::vector<std::string>{});
    }
}

TEST(ImatrixFile, GivesMeansByMatrixAndOnesWhereNothingWasSeen) {
    const ImportanceEntry entry{.n_matrices = 2, .sum_squares = {4, 8, 0, 0}, .counts = {4, 0}};
    EXPECT_EQ(mean_squares(entry, 2, 2).value(), (std::vector<float>{1, 2, 1, 1}));
    for (const auto& [n_matrices, n_cols] : {std::pair{1, 2}, {1, 4}, {4, 1}, {2, 3}}) {
        const auto means = mean_squares(entry, static_cast<std::size_t>(n_matrices), static_cast<std::size_t>(n_cols));
        ASSERT_FALSE(means);
        expect_in("another model", means.error().message);
    }
}

TEST(ImatrixFile, ThatLiesIsRefused) {
    const auto with = [](auto change) {
        GoodFile file;
        change(file);
        return why_not(file);
    };
    ASSERT_EQ(with([](GoodFile&) {}), "");
    expect_in("expected imatrix, found \"model\"", with([](GoodFile& f) { f.type = "model"; }));
    expect_in("finite", with([](GoodFile& f) { f.sums[3] = kNan; }));
    expect_in("finite", with([](GoodFile& f) { f.sums[3] = kInfinity; }));
    expect_in("found -4", with([](GoodFile& f) { f.sums[3] = -4; }));
    expect_in("count 1: expected a number of rows", with([](GoodFile& f) { f.counts[1] = kNan; }));
    expect_in("count 1: expected a number of rows", with([](GoodFile& f) { f.counts[1] = -1; }));
    expect_in("count 1: expected a number of rows", with([](GoodFile& f) { f.counts[1] = 1e30F; }));
    expect_in("whose mean over 1e-10 rows is a finite number, found 1e+38", with([](GoodFile& f) {
                  f.counts[0] = 1e-10F;
                  f.sums[0] = 1e38F;
              }));
    expect_in("no row was seen", with([](GoodFile& f) { f.counts[1] = 0; }));
    expect_in("expected a tensor of counts", with([](GoodFile& f) { f.counts_name = "blk.0.a.weight.count"; }));
    expect_in("expected a tensor of sums", with([](GoodFile& f) { f.sums_name = "blk.0.a.weight.sums"; }));
    expect_in("3 counts", with([](GoodFile& f) {
                  f.counts_shape = {1, 3};
                  f.counts = {1, 2, 3};
                  f.sums_shape = {5};
                  f.sums = {1, 2, 3, 4, 5};
              }));
    expect_in("one a count", with([](GoodFile& f) { f.sums_shape = {2, 3}; }));
    expect_in("type F32", with([](GoodFile& f) { f.sums_type = 26; }));
    expect_in("imatrix.chunk_size",
              with([](GoodFile& f) { f.chunk_size.payload = raw<std::uint64_t>(1ULL << 40U), f.chunk_size.type = 10; }));
    expect_in("imatrix.chunk_size", with([](GoodFile& f) { f.chunk_size.payload = raw_string("x"), f.chunk_size.type = 8; }));
    RawFile none = GoodFile().file();
    none.tensors.resize(0);
    expect_in("found none", why_not(none.bytes()));
    RawFile twice = GoodFile().file();
    twice.tensors.push_back(twice.tensors.front());
    expect_in("blk.0.a.weight.in_sum2", why_not(twice.bytes()));
}

TEST(ImatrixFile, OfTheOlderFormThatLiesIsRefused) {
    const std::string one = raw<std::int32_t>(1);
    ASSERT_EQ(why_not(one + dat_entry("a", 4, {8, 4})), "");
    expect_in("expected 4 bytes, found 0", why_not(""));
    expect_in("number of entries", why_not(raw<std::int32_t>(0)));
    expect_in("number of entries", why_not(raw<std::int32_t>(-1) + std::string(100, '\0')));
    expect_in("number of entries", why_not(raw<std::int32_t>(2147483647) + std::string(100, '\0')));
    expect_in("name of entry 0", why_not(one + raw<std::int32_t>(100) + std::string(100, 'x')));
    expect_in("name of entry 0", why_not(one + raw<std::int32_t>(-5) + std::string(100, 'x')));
    expect_in("number of chunks", why_not(one + dat_entry("a", -4, {8, 4})));
    expect_in("finite", why_not(one + dat_entry("a", 4, {8, kNan})));
    expect_in("found -8", why_not(one + dat_entry("a", 4, {4, -8})));
    expect_in("there already", why_not(raw<std::int32_t>(2) + dat_entry("a", 4, {8, 4}) + dat_entry("a", 4, {8, 4})));
    const std::string good = one + dat_entry("a", 4, {8, 4}) + raw<std::int32_t>(4) + raw<std::int32_t>(5) + "c.txt";
    ASSERT_EQ(why_not(good), "");
    expect_in("end of the file", why_not(good + "x"));
    for (std::size_t n = 0; n < good.size(); ++n) {
        const std::string cut = good.substr(0, n);
        const bool whole = n == good.size() - 13 || n == good.size() - 9;  // the oldest form, and one without the text's name
        EXPECT_EQ(why_not(cut).empty(), whole) << n;
    }
    std::string many = one + raw<std::int32_t>(1) + "a" + raw<std::int32_t>(1) + raw<std::int32_t>(2147483647);
    expect_in("number of values", why_not(many));
}

}  // namespace
}  // namespace rafter::files
