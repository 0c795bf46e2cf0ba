// Layouts read back by the parser: the same metadata, the same places.
#include "files/gguf_layout.h"

#include <gtest/gtest.h>

#include "files/gguf.h"

namespace rafter::files {
namespace {

std::vector<GgufTensorShape> two_tensors() {
    return {{"a.weight", tensor::DType::kF16, {3, 5}}, {"b.weight", tensor::DType::kQ8_0, {2, 2, 64}}};
}

TEST(GgufLayout, IsReadBackAsItWasLaidOut) {
    const std::vector<GgufEntry> entries{{"text", std::string_view("abc"), GgufType::kString},
                                         {"small", std::uint64_t{7}, GgufType::kUint8},
                                         {"numbers", MetadataArray(std::vector<double>{0.5, 2.0}), GgufType::kFloat32}};
    auto layout = lay_out_gguf(entries, two_tensors());
    ASSERT_TRUE(layout) << layout.error().message;
    EXPECT_EQ(layout->header.size() % kDefaultAlignment, 0u);
    EXPECT_EQ(layout->offsets_bytes, (std::vector<std::uint64_t>{layout->header.size(), layout->header.size() + 32}));
    EXPECT_EQ(layout->size_bytes, layout->header.size() + 32 + 2 * 2 * 2 * 34 + 16);  // the last tensor is padded too
    std::vector<std::byte> bytes = layout->header;
    bytes.resize(layout->size_bytes);
    const auto file = GgufFile::parse(bytes, "laid out");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(*file->metadata().get_string("text"), "abc");
    EXPECT_EQ(*file->metadata().get_uint("small"), 7u);
    EXPECT_EQ(file->metadata().stored_type("small"), GgufType::kUint8);
    EXPECT_EQ(file->metadata().stored_type("numbers"), GgufType::kFloat32);
    ASSERT_EQ(file->tensors().size(), 2u);
    EXPECT_EQ(file->tensors()[1].shape, (std::vector<std::uint64_t>{2, 2, 64}));
    EXPECT_EQ(file->tensors()[1].bytes.data() - bytes.data(), static_cast<std::ptrdiff_t>(layout->offsets_bytes[1]));
}

TEST(GgufLayout, RefusesAValueThatItsTypeCannotHold) {
    const std::pair<MetadataValue, GgufType> wrong[] = {{std::uint64_t{256}, GgufType::kUint8},
                                                        {std::int64_t{-1}, GgufType::kUint32},
                                                        {0.5, GgufType::kInt32},
                                                        {std::uint64_t{1}, GgufType::kFloat32},
                                                        {true, GgufType::kUint8},
                                                        {std::string_view("a"), GgufType::kBool},
                                                        {MetadataArray(std::vector<std::uint64_t>{1, 70000}), GgufType::kUint16}};
    for (const auto& [value, type] : wrong) {
        const auto layout = lay_out_gguf(std::vector<GgufEntry>{{"key", value, type}}, {});
        ASSERT_FALSE(layout) << static_cast<int>(type);
        EXPECT_NE(layout.error().message.find("\"key\""), std::string::npos);
    }
}

TEST(GgufLayout, RefusesNamesThatTheFormatCannotHave) {
    EXPECT_FALSE(lay_out_gguf({}, std::vector<GgufTensorShape>{{std::string(65, 'a'), tensor::DType::kF32, {1}}}));
    EXPECT_FALSE(lay_out_gguf({}, std::vector<GgufTensorShape>{{"five", tensor::DType::kF32, {1, 1, 1, 1, 1}}}));
    EXPECT_FALSE(lay_out_gguf(std::vector<GgufEntry>{{"", true, GgufType::kBool}}, {}));
    EXPECT_FALSE(lay_out_gguf(std::vector<GgufEntry>{{"a", true, GgufType::kBool}, {"a", true, GgufType::kBool}}, {}));
}

TEST(GgufLayout, GivesNumbersTheTypesThatReadersExpect) {
    EXPECT_EQ(usual_type(std::uint64_t{7}), GgufType::kUint32);
    EXPECT_EQ(usual_type(std::int64_t{7}), GgufType::kUint32);
    EXPECT_EQ(usual_type(std::int64_t{-7}), GgufType::kInt32);
    EXPECT_EQ(usual_type(std::uint64_t{1} << 40), GgufType::kUint64);
    EXPECT_EQ(usual_type(1e-5), GgufType::kFloat32);
    EXPECT_EQ(usual_type(MetadataArray(std::vector<std::uint64_t>{1, 2})), GgufType::kInt32);
    EXPECT_EQ(usual_type(MetadataArray(std::vector<std::int64_t>{-1, 2})), GgufType::kInt32);
    EXPECT_EQ(usual_type(MetadataArray(std::vector<std::string_view>{})), GgufType::kString);
}

}  // namespace
}  // namespace rafter::files
