// Headers of safetensors files: what they say, and files that lie.
#include "files/safetensors.h"

#include <gtest/gtest.h>

#include <string>

namespace rafter::files {
namespace {

std::string file_of(const std::string& header, std::size_t n_data) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xFF);
    return bytes + header + std::string(n_data, '\0');
}
auto parsed_tensors(const std::string& bytes) {
    return parse_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.safetensors");
}

TEST(Safetensors, AreReadWithTypesShapesAndSizes) {
    const auto tensors = parsed_tensors(file_of(
        R"({"__metadata__": {"format": "pt"}, "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, "b": {"dtype": "F8_E4M3", "shape": [], "data_offsets": [12, 13]}})",
        13));
    ASSERT_TRUE(tensors) << tensors.error().message;
    ASSERT_EQ(tensors->size(), 2U);
    EXPECT_EQ((*tensors)[0].name, "a");
    EXPECT_EQ((*tensors)[0].size_bytes, 12U);
    EXPECT_EQ((*tensors)[0].shape, (std::vector<std::uint64_t>{2, 3}));
    EXPECT_EQ((*tensors)[1].dtype, "F8_E4M3");
}

TEST(Safetensors, ThatLieAreRefused) {
    const std::string one = R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}})";
    ASSERT_TRUE(parsed_tensors(file_of(one, 12)));
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = one;
        text.replace(text.find(from), from.size(), to);
        return file_of(text, 12);
    };
    for (const std::string& bytes :
         {std::string(), std::string("short"), std::string(8, '\xFF'), file_of(one, 11), file_of("[]", 0), file_of("{", 0),
          with("\"F32\"", "\"F33\""), with("\"F32\"", "7"), with("[3]", "[4]"), with("[3]", "[-3]"), with("[3]", "[3.5]"),
          with("[3]", "[18446744073709551615, 18446744073709551615]"), with("[3]", "{}"), with("[0, 12]", "[12, 0]"),
          with("[0, 12]", "[0]"), with("[0, 12]", "[0, 99999999999999999999]"), with("{\"dtype\"", "{\"d\"")}) {
        const auto tensors = parsed_tensors(bytes);
        ASSERT_FALSE(tensors) << bytes.substr(8);
        EXPECT_EQ(tensors.error().message.find('\n'), std::string::npos);
    }
}

}  // namespace
}  // namespace rafter::files
