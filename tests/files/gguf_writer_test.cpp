#include "files/gguf_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "files/gguf.h"
#include "tensor/formats/formats.h"

namespace rafter::files {
namespace {

TEST(GgufWriter, WhatIsWrittenIsReadBack) {
    GgufWriter writer;
    writer.add_uint32("uint32", 7);
    writer.add_uint64("uint64", 1ull << 63);
    writer.add_int32("int32", -7);
    writer.add_float32("float32", 0.5f);
    writer.add_bool("bool", true);
    writer.add_string("string", std::string("a\0b", 3));
    writer.add_strings("strings", std::vector<std::string>{"x", "", "y"});
    writer.add_int32s("int32s", std::vector<std::int32_t>{1, -2});
    writer.add_float32s("float32s", std::vector<float>{1.5f});
    const bool flags[] = {false, true};
    writer.add_bools("bools", flags);
    writer.add_strings("none", {});
    const auto bytes = writer.to_bytes();
    const auto file = GgufFile::parse(bytes, "written");
    ASSERT_TRUE(file) << file.error().message;
    const Metadata& metadata = file->metadata();
    EXPECT_EQ(metadata.get_uint("uint32").value(), 7u);
    EXPECT_EQ(metadata.get_uint("uint64").value(), 1ull << 63);
    EXPECT_EQ(metadata.get_float("int32").value(), -7);
    EXPECT_EQ(metadata.get_float("float32").value(), 0.5);
    EXPECT_EQ(metadata.find_bool("bool").value(), true);
    EXPECT_EQ(metadata.get_string("string").value(), std::string_view("a\0b", 3));
    EXPECT_EQ(metadata.find_strings("strings").value(), (std::vector<std::string_view>{"x", "", "y"}));
    EXPECT_EQ(metadata.find_ints("int32s").value(), (std::vector<std::int64_t>{1, -2}));
    EXPECT_EQ(metadata.find_floats("float32s").value(), (std::vector<double>{1.5}));
    EXPECT_EQ(metadata.find_bools("bools").value(), (std::vector<bool>{false, true}));
    EXPECT_TRUE(metadata.find_strings("none").value()->empty());
}

TEST(GgufWriter, TensorsOfEveryFormatAreReadBack) {
    GgufWriter writer;
    std::vector<float> values(2 * 256);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    const std::uint64_t shape[] = {2, 256};
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.encode != nullptr) writer.add_tensor_f32(format.name, format.dtype, shape, values);
    }
    const std::uint64_t odd_shape[] = {3};  // leaves padding behind it
    const std::int32_t ids[] = {1, -2, 3};
    writer.add_tensor("ids", tensor::DType::kI32, odd_shape, std::as_bytes(std::span(ids)));
    const std::uint64_t four[] = {1, 2, 3, 4};
    writer.add_tensor_f32("four dimensions", tensor::DType::kF32, four, std::span(values).first(24));

    const auto bytes = writer.to_bytes();
    const auto file = GgufFile::parse(bytes, "written");
    ASSERT_TRUE(file) << file.error().message;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.encode == nullptr) continue;
        const NamedTensor* tensor = file->find_tensor(format.name);
        ASSERT_NE(tensor, nullptr) << format.name;
        EXPECT_EQ(tensor->dtype, format.dtype);
        EXPECT_EQ(tensor->shape, (std::vector<std::uint64_t>{2, 256}));
        std::vector<float> decoded(values.size());
        format.decode(tensor->bytes.data(), decoded.data(), decoded.size());
        for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(decoded[i], values[i], 0.4) << format.name;
    }
    EXPECT_EQ(std::memcmp(file->find_tensor("ids")->bytes.data(), ids, sizeof ids), 0);
    EXPECT_EQ(file->find_tensor("four dimensions")->shape, (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

TEST(GgufWriter, WritesAFileThatOpens) {
    GgufWriter writer;
    writer.add_string("general.architecture", "llama");
    const auto path = std::filesystem::path(testing::TempDir()) / fmt::format("rafter-writer-{}.gguf", getpid());
    ASSERT_TRUE(writer.write(path));
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->metadata().get_string("general.architecture").value(), "llama");
    std::filesystem::remove(path);
}

TEST(GgufWriter, AFolderThatIsNotThereIsAnError) {
    const auto written = GgufWriter().write("/no/such/folder/x.gguf");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind, ErrorKind::kIo);
    EXPECT_NE(written.error().message.find("No such file or directory"), std::string::npos) << written.error().message;
}

TEST(GgufWriterDeathTest, BytesThatDoNotFitTheShapeAreABug) {
    GgufWriter writer;
    const std::uint64_t shape[] = {2, 32};
    EXPECT_DEATH(writer.add_tensor("t", tensor::DType::kQ4_0, shape, std::vector<std::byte>(35)), "shape \\[2, 32\\] of Q4_0 in 35 bytes");
}

}  // namespace
}  // namespace rafter::files
