#include "tensor/formats/formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace rafter::tensor {
namespace {

std::vector<float> normal_values(std::size_t n, float deviation, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> distribution(0, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = distribution(random);
    return values;
}

std::vector<float> there_and_back(const FormatInfo& format, const std::vector<float>& values) {
    std::vector<char> blocks(format.row_bytes(values.size()));
    format.encode(values.data(), blocks.data(), values.size());
    std::vector<float> decoded(values.size(), std::numeric_limits<float>::quiet_NaN());
    format.decode(blocks.data(), decoded.data(), decoded.size());
    return decoded;
}

double root_mean_square(const std::vector<float>& values) {
    double sum = 0;
    for (const float value : values) sum += static_cast<double>(value) * value;
    return std::sqrt(sum / static_cast<double>(values.size()));
}

double relative_error(const std::vector<float>& values, const std::vector<float>& decoded) {
    std::vector<float> difference(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) difference[i] = decoded[i] - values[i];
    return root_mean_square(difference) / root_mean_square(values);
}

TEST(Formats, AreFoundByTheirGgufIdAndByTheirNameInAnyCase) {
    std::set<std::uint32_t> ids;
    for (const FormatInfo& format : formats()) {
        EXPECT_EQ(&format_of(format.dtype), &format);
        EXPECT_EQ(dtype_from_gguf(format.gguf_type), format.dtype);
        EXPECT_EQ(dtype_from_name(format.name), format.dtype);
        std::string small(format.name);
        std::transform(small.begin(), small.end(), small.begin(), [](unsigned char c) { return std::tolower(c); });
        EXPECT_EQ(dtype_from_name(small), format.dtype);
        EXPECT_TRUE(ids.insert(format.gguf_type).second) << format.name;
    }
    EXPECT_EQ(dtype_from_gguf(4), std::nullopt);
    EXPECT_EQ(dtype_from_name("Q4"), std::nullopt);
    EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

// The relative error that a format is for, on normally distributed weights: what a uniform step of its bits gives, and little more. A wrong
// bit order or scale is far above.
TEST(Formats, EncodedNormalWeightsComeBackWithinTheFormatsPrecision) {
    const std::pair<const char*, double> expected[] = {
        {"F32", 0},      {"F16", 3e-4},    {"BF16", 2e-3},   {"Q4_0", 0.10},  {"Q4_1", 0.085}, {"Q5_0", 0.05},
        {"Q5_1", 0.041}, {"Q8_0", 0.006},  {"Q2_K", 0.37},   {"Q3_K", 0.20},  {"Q4_K", 0.09},  {"Q5_K", 0.045},
        {"Q6_K", 0.022}, {"IQ4_NL", 0.10}, {"IQ4_XS", 0.10}, {"MXFP4", 0.14},
    };
    const std::vector<float> values = normal_values(256 * 64, 0.02f, 1);
    for (const auto& [name, bound] : expected) {
        const FormatInfo& format = format_of(*dtype_from_name(name));
        const double error = relative_error(values, there_and_back(format, values));
        EXPECT_LE(error, bound) << name;
        EXPECT_GE(error, bound / 1.5) << name << ": the bound is too loose to mean anything";
    }
}

// No element may be off by more than its step, whatever the shape of the distribution.
TEST(Formats, NoElementIsFurtherOffThanItsBlocksRangeAllows) {
    for (const FormatInfo& format : formats()) {
        if (format.encode == nullptr || format.block_elements == 1) continue;
        for (unsigned seed = 0; seed < 20; ++seed) {
            std::vector<float> values = normal_values(256, 1, seed);
            const float offset = static_cast<float>(seed % 5) - 2;
            for (float& value : values) value = value * value * value + offset;
            const std::vector<float> decoded = there_and_back(format, values);
            const auto [low, high] = std::minmax_element(values.begin(), values.end());
            const float range = std::max(*high, 0.0f) - std::min(*low, 0.0f);
            // Steps in a range: 2^bits - 1, with a symmetric format losing half of them where all values have one sign; at most a whole
            // step is lost.
            // MXFP4's scale is a power of two, so up to a quarter of the largest value may be cut off.
            const float bits = std::floor(static_cast<float>(format.bits_per_element()));
            const float steps = format.dtype == DType::kMXFP4 ? 4 : std::exp2(bits - 1) - 1;
            for (std::size_t i = 0; i < values.size(); ++i) {
                ASSERT_LE(std::abs(decoded[i] - values[i]), range / steps) << format.name << " seed " << seed << " element " << i;
            }
        }
    }
}

TEST(Formats, ZerosOnesAndTinyValuesEncodeWithoutTrouble) {
    for (const FormatInfo& format : formats()) {
        if (format.encode == nullptr) continue;
        for (const float value : {0.0f, -0.0f, 1.0f, -1.0f, 1e-30f, -1e-30f, std::numeric_limits<float>::denorm_min(), 1000.0f}) {
            for (const float decoded : there_and_back(format, std::vector<float>(256, value))) {
                ASSERT_NEAR(decoded, value, std::abs(value) * 0.26 + 1e-6) << format.name;
            }
        }
    }
}

TEST(Formats, BlocksNeedNoAlignment) {
    for (const FormatInfo& format : formats()) {
        if (format.encode == nullptr) continue;
        const std::vector<float> values = normal_values(256, 1, 3);
        std::vector<char> blocks(format.row_bytes(256) + 1);
        format.encode(values.data(), blocks.data() + 1, 256);
        std::vector<float> decoded(256);
        format.decode(blocks.data() + 1, decoded.data(), 256);
        EXPECT_EQ(decoded, there_and_back(format, values)) << format.name;
    }
}

TEST(Formats, RowsOfSeveralBlocksAreTheirBlocksInOrder) {
    for (const FormatInfo& format : formats()) {
        if (format.encode == nullptr) continue;
        const std::vector<float> values = normal_values(512, 1, 4);
        std::vector<float> pieces = there_and_back(format, {values.begin(), values.begin() + 256});
        const std::vector<float> rest = there_and_back(format, {values.begin() + 256, values.end()});
        pieces.insert(pieces.end(), rest.begin(), rest.end());
        EXPECT_EQ(there_and_back(format, values), pieces) << format.name;
    }
}

TEST(Formats, I32DecodesButDoesNotEncode) {
    const std::int32_t ids[] = {0, -7, 1 << 20};
    float values[3];
    format_of(DType::kI32).decode(ids, values, 3);
    EXPECT_EQ(values[1], -7);
    EXPECT_EQ(values[2], 1 << 20);
    EXPECT_EQ(format_of(DType::kI32).encode, nullptr);
}

TEST(FormatsDeathTest, APartOfABlockIsABug) {
    float value[32] = {};
    char block[32] = {};
    EXPECT_DEATH(format_of(DType::kQ4_0).decode(block, value, 31), "31 elements of Q4_0");
}

}  // namespace
}  // namespace rafter::tensor
