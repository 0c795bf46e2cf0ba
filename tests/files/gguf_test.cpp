#include "files/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/files/raw_gguf.h"

namespace rafter::files {
namespace {

TEST(Gguf, AGoodFileGivesItsMetadata) {
    const std::string bytes = good_file().bytes();
    const auto file = GgufFile::parse(as_bytes(bytes), "good.gguf");
    ASSERT_TRUE(file) << file.error().message;
    const Metadata& metadata = file->metadata();
    EXPECT_EQ(file->name(), "good.gguf");
    EXPECT_EQ(file->size_bytes(), bytes.size());
    EXPECT_EQ(metadata.entries().size(), 17u);
    EXPECT_EQ(metadata.entries()[1].first, "a.uint8");
    EXPECT_EQ(metadata.get_string("general.architecture").value(), "llama");
    EXPECT_EQ(metadata.get_uint("a.uint8").value(), 200u);
    EXPECT_EQ(metadata.get_uint("a.uint16").value(), 60000u);
    EXPECT_EQ(metadata.get_uint("a.uint32").value(), 4000000000u);
    EXPECT_EQ(metadata.get_uint("a.uint64").value(), 1u);
    EXPECT_EQ(metadata.get_float("a.int8").value(), -100);
    EXPECT_EQ(metadata.get_float("a.int16").value(), -30000);
    EXPECT_EQ(metadata.get_float("a.int32").value(), -2000000000);
    EXPECT_EQ(metadata.get_float("a.int64").value(), -1);
    EXPECT_EQ(metadata.get_float("a.float32").value(), 0.5);
    EXPECT_EQ(metadata.get_float("a.float64").value(), -0.25);
    EXPECT_EQ(metadata.find_bool("a.bool").value(), true);
    EXPECT_EQ(metadata.find_strings("a.strings").value(), (std::vector<std::string_view>{"", "x", "two words"}));
    EXPECT_EQ(metadata.find_ints("an.array.of.uint8").value(), (std::vector<std::int64_t>{1, 255}));
    EXPECT_EQ(metadata.find_ints("an.array.of.int32").value(), (std::vector<std::int64_t>{-1, 7}));
    EXPECT_EQ(metadata.find_floats("an.array.of.float32").value(), (std::vector<double>{1, 2.5}));
    EXPECT_EQ(metadata.find_floats("an.array.of.int32").value(), (std::vector<double>{-1, 7}));
    EXPECT_EQ(metadata.find_floats("an.array.of.uint8").value(), (std::vector<double>{1, 255}));
    EXPECT_EQ(metadata.find_bools("an.array.of.bool").value(), (std::vector<bool>{true, false, true}));
}

TEST(Gguf, AGoodFileGivesItsTensorsWithTheOutermostDimensionFirst) {
    const std::string bytes = good_file().bytes();
    auto parsed = GgufFile::parse(as_bytes(bytes), "good.gguf");
    ASSERT_TRUE(parsed) << parsed.error().message;
    const GgufFile file = std::move(parsed).value();
    ASSERT_EQ(file.tensors().size(), 2u);
    const NamedTensor* a = file.find_tensor("a.weight");
    const NamedTensor* b = file.find_tensor("b.weight");
    ASSERT_EQ(a, &file.tensors()[0]);
    ASSERT_EQ(b, &file.tensors()[1]);
    EXPECT_EQ(a->shape, (std::vector<std::uint64_t>{2, 3}));
    EXPECT_EQ(a->n_elements(), 6u);
    EXPECT_EQ(a->dtype, tensor::DType::kF32);
    EXPECT_EQ(a->bytes.size(), 24u);
    EXPECT_EQ(b->dtype, tensor::DType::kQ4_0);
    EXPECT_EQ(b->bytes.size(), 36u);
    const auto* data = reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size() - (32 + 36);
    EXPECT_EQ(a->bytes.data(), data);
    EXPECT_EQ(b->bytes.data(), data + 32);
    EXPECT_EQ(file.find_tensor("c.weight"), nullptr);
    EXPECT_EQ(file.find_tensor(""), nullptr);
}

TEST(Gguf, Version2IsReadAsVersion3) {
    RawFile file = good_file();
    file.version = 2;
    EXPECT_EQ(refusal(file), "");
}

TEST(Gguf, AFileOfMetadataOnlyMayEndWithoutPadding) {
    RawFile file = good_file();
    file.tensors.clear();
    file.data.clear();
    EXPECT_EQ(refusal(file), "");
}

TEST(Gguf, AnotherAlignmentMovesTheData) {
    RawFile file = good_file();
    file.entries.push_back({"general.alignment", 4, raw<std::uint32_t>(128)});
    file.alignment = 128;
    file.tensors[1].offset = 128;
    file.data = std::string(128 + 36, '\x22');
    const std::string bytes = file.bytes();
    const auto parsed = GgufFile::parse(as_bytes(bytes), "x.gguf");
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->tensors()[1].bytes.data(), reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size() - 36);
}

TEST(Gguf, MetadataLookupsSayWhatTheyExpectedAndFound) {
    const std::string bytes = good_file().bytes();
    const auto file = GgufFile::parse(as_bytes(bytes), "good.gguf");
    const Metadata& metadata = file->metadata();
    EXPECT_EQ(metadata.get_uint("no.such").error().message, "\"no.such\": expected a non-negative integer, found no such key");
    EXPECT_EQ(metadata.get_string("no.such").error().message, "\"no.such\": expected a string, found no such key");
    EXPECT_EQ(metadata.get_float("no.such").error().message, "\"no.such\": expected a number, found no such key");
    EXPECT_EQ(metadata.get_uint("a.int8").error().message, "\"a.int8\": expected a non-negative integer, found the integer -100");
    EXPECT_EQ(metadata.get_uint("a.float32").error().message, "\"a.float32\": expected a non-negative integer, found the number 0.5");
    EXPECT_EQ(metadata.find_bool("a.uint8").error().message, "\"a.uint8\": expected a bool, found the integer 200");
    EXPECT_EQ(metadata.get_float("a.bool").error().message, "\"a.bool\": expected a number, found the bool true");
    EXPECT_EQ(metadata.get_string("a.strings").error().message, "\"a.strings\": expected a string, found an array of 3 strings");
    EXPECT_EQ(metadata.find_ints("general.architecture").error().message,
              "\"general.architecture\": expected an array of integers, found the string \"llama\"");
    EXPECT_EQ(metadata.find_ints("an.array.of.float32").error().message,
              "\"an.array.of.float32\": expected an array of integers, found an array of 2 numbers");
    EXPECT_EQ(metadata.find_floats("a.strings").error().message,
              "\"a.strings\": expected an array of numbers, found an array of 3 strings");
    EXPECT_EQ(metadata.find_strings("an.array.of.bool").error().message,
              "\"an.array.of.bool\": expected an array of strings, found an array of 3 bools");
    EXPECT_EQ(metadata.find_bools("an.array.of.uint8").error().message,
              "\"an.array.of.uint8\": expected an array of bools, found an array of 2 integers");
}

TEST(Gguf, AMissingKeyIsNoErrorForFind) {
    const Metadata metadata;
    EXPECT_FALSE(metadata.has("k"));
    EXPECT_EQ(metadata.find_uint("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_float("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_bool("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_string("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_strings("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_ints("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_floats("k").value(), std::nullopt);
    EXPECT_EQ(metadata.find_bools("k").value(), std::nullopt);
}

TEST(Gguf, IntegersBeyondInt64AreRefusedWhereTheyDoNotFit) {
    Metadata metadata;
    constexpr std::uint64_t kLarge = std::numeric_limits<std::uint64_t>::max();
    ASSERT_TRUE(metadata.add("one", kLarge));
    ASSERT_TRUE(metadata.add("some", MetadataArray(std::vector<std::uint64_t>{1, kLarge})));
    ASSERT_FALSE(metadata.add("one", true));
    EXPECT_EQ(metadata.get_uint("one").value(), kLarge);
    EXPECT_EQ(metadata.find_ints("some").error().message,
              "\"some\": element 1: expected an integer below 2^63, found 18446744073709551615");
}

TEST(Gguf, AnEmptyArrayIsOneOfAnyType) {
    Metadata metadata;
    ASSERT_TRUE(metadata.add("none", MetadataArray(std::vector<std::int64_t>())));
    EXPECT_TRUE(metadata.find_strings("none").value()->empty());
    EXPECT_TRUE(metadata.find_floats("none").value()->empty());
    EXPECT_TRUE(metadata.find_ints("none").value()->empty());
    EXPECT_TRUE(metadata.find_bools("none").value()->empty());
}

}  // namespace
}  // namespace rafter::files
