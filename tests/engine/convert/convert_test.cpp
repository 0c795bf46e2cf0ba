// A made-up source whose rows exist only while somebody reads them, as a checkpoint's do: what of it is written, and how.
#include "engine/convert/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/convert/tensor_types.h"
#include "files/gguf.h"
#include "tensor/formats/formats.h"
#include "tests/support/rounds.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;
using files::NamedTensor;
using tensor::DType;

// Element i of a tensor is i / 8, in F32 or BF16, which holds it exactly for small i.
class MadeUpSource final : public files::TensorSource {
  public:
    MadeUpSource() { metadata_.add("general.architecture", std::string_view("llama")); }
    void add(std::string name, DType dtype, std::vector<std::uint64_t> shape) {
        tensors_.push_back({.name = std::move(name), .dtype = dtype, .shape = std::move(shape), .bytes = {}});
    }
    files::Metadata& editable_metadata() { return metadata_; }
    float bad_value = 0.0F;  // of the elements 100 and 300 of every tensor, where it is not 0

    [[nodiscard]] const files::Metadata& metadata() const override { return metadata_; }
    [[nodiscard]] std::span<const NamedTensor> tensors() const override { return tensors_; }
    [[nodiscard]] const NamedTensor* find_tensor(std::string_view name) const override {
        const auto found = std::ranges::find(tensors_, name, &NamedTensor::name);
        return found == tensors_.end() ? nullptr : &*found;
    }
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] std::uint64_t size_bytes() const override { return 0; }
    [[nodiscard]] std::span<const std::byte> rows(const NamedTensor& tensor, std::uint64_t first, std::uint64_t n,
                                                  std::span<std::byte> scratch) const override {
        const std::uint64_t n_cols = tensor.shape.back();
        std::vector<float> values(n * n_cols);
        for (std::size_t i = 0; i < values.size(); ++i) {
            const std::uint64_t element = first * n_cols + i;
            values[i] = static_cast<float>(element % 251) / 8;
            if (bad_value != 0.0F && (element == 100 || element == 300)) values[i] = bad_value;
        }
        tensor::format_of(tensor.dtype).encode(values.data(), scratch.data(), values.size());
        return scratch.first(n * tensor.row_bytes());
    }
    void will_need(const NamedTensor& /*tensor*/) const override {}
    void release(const NamedTensor& /*tensor*/, std::uint64_t /*first*/, std::uint64_t /*n*/) const override {}

  private:
    files::Metadata metadata_;
    std::vector<NamedTensor> tensors_;
    std::string name_ = "made up";
};

class Convert : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::path(::testing::TempDir()) / ::testing::UnitTest::GetInstance()->current_test_info()->name();
        fs::remove_all(folder_);
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    [[nodiscard]] fs::path out() const { return folder_ / "out.gguf"; }
    Result<Conversion> convert(const MadeUpSource& source, const ConvertOptions& options, const ConvertHooks& hooks = {}) {
        RAFTER_TRY(const ConversionPlan plan, plan_conversion(source, folder_ / "source", out(), options));
        ThreadPool pool({.n_threads = n_threads_, .pin = false});
        return run_conversion(plan, source, pool, hooks);
    }
    [[nodiscard]] std::size_t n_files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }

    fs::path folder_;
    unsigned n_threads_ = 3;
};

TEST_F(Convert, WritesRowsThatAreMadeWhileTheyAreRead) {
    MadeUpSource source;
    source.add("blk.0.ffn_up.weight", DType::kBF16, {3000, 1024});  // more than one unit
    source.add("blk.0.attn_norm.weight", DType::kF32, {1024});
    const auto done = convert(source, {.type = DType::kF32});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(done->complete);
    EXPECT_EQ(n_files(), 1u);
    const auto file = files::GgufFile::open(out());
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->size_bytes(), done->size_bytes);
    for (const NamedTensor& tensor : file->tensors()) {
        ASSERT_EQ(tensor.dtype, DType::kF32);
        const std::uint64_t n = tensor.n_elements();
        std::vector<float> values(n);
        std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
        std::uint64_t n_wrong = 0;
        for (std::uint64_t i = 0; i < n; ++i) n_wrong += values[i] != static_cast<float>(i % 251) / 8 ? 1 : 0;
        EXPECT_EQ(n_wrong, 0u) << tensor.name;
    }
}

TEST_F(Convert, AStoppedRunIsContinuedToTheSameBytes) {
    MadeUpSource source;
    for (int i = 0; i < 8; ++i) source.add(fmt::format("blk.{}.ffn_up.weight", i), DType::kBF16, {1200, 1024});
    ASSERT_TRUE(convert(source, {}));
    const auto whole = files::GgufFile::open(out());
    ASSERT_TRUE(whole);
    fs::rename(out(), folder_ / "whole.gguf");
    n_threads_ = 1;  // the one that asks whether to stop has written a unit
    const auto stopped = convert(source, {}, {.progress = {}, .is_stopped = [] { return true; }, .note = {}});
    ASSERT_TRUE(stopped) << stopped.error().message;
    ASSERT_FALSE(stopped->complete);
    EXPECT_FALSE(fs::exists(out()));
    n_threads_ = 3;
    const auto done = convert(source, {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(done->complete);
    EXPECT_GT(done->reused_bytes, 0u);
    EXPECT_LT(done->reused_bytes, done->size_bytes);
    const auto continued = files::GgufFile::open(out());
    ASSERT_TRUE(continued) << continued.error().message;
    for (std::size_t i = 0; i < whole->tensors().size(); ++i) {
        EXPECT_TRUE(std::ranges::equal(whole->tensors()[i].bytes, continued->tensors()[i].bytes));
    }
}

TEST_F(Convert, NamesTheFirstBadElementForAnyNumberOfThreads) {
    MadeUpSource source;
    for (int i = 0; i < 5; ++i) source.add(fmt::format("blk.{}.ffn_up.weight", i), DType::kF32, {8, 64});
    source.bad_value = std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; i < rafter::tests::rounds(20); ++i) {
        const auto done = convert(source, {.type = DType::kF16});
        ASSERT_FALSE(done);
        EXPECT_NE(done.error().message.find("tensor blk.0.ffn_up.weight: element 100: "), std::string::npos) << done.error().message;
        EXPECT_EQ(n_files(), 0u);
    }
    EXPECT_TRUE(convert(source, {.type = DType::kF16, .split_bytes = {}, .allow_nan = true}));
}

TEST(TensorTypes, OfACheckpointAllButMatricesBecomeF32) {
    const NamedTensor norm{.name = "blk.0.attn_norm.weight", .dtype = DType::kBF16, .shape = {64}, .bytes = {}};
    const NamedTensor router{.name = "blk.0.ffn_gate_inp.weight", .dtype = DType::kBF16, .shape = {8, 64}, .bytes = {}};
    const NamedTensor matrix{.name = "blk.0.attn_q.weight", .dtype = DType::kBF16, .shape = {64, 64}, .bytes = {}};
    for (const std::optional<DType> wanted : {std::optional<DType>(), std::optional(DType::kQ8_0)}) {
        EXPECT_EQ(converted_type(norm, wanted, SourceKind::kCheckpoint), DType::kF32);
        EXPECT_EQ(converted_type(router, wanted, SourceKind::kCheckpoint), DType::kF32);
        EXPECT_EQ(converted_type(norm, wanted, SourceKind::kGguf), DType::kBF16);
        EXPECT_EQ(converted_type(matrix, wanted, SourceKind::kCheckpoint), wanted.value_or(DType::kBF16));
    }
}

}  // namespace
}  // namespace rafter::engine
