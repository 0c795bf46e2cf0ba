// The encoders that search, against the plain ones, and every instruction set's against the scalar one.
#include "backend/encoding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/encode/encode.h"
#include "backend/cpu/isa.h"
#include "tensor/formats/formats.h"

namespace rafter::backend {
namespace {

using tensor::DType;
using tensor::FormatInfo;

constexpr std::size_t kCols = 768;  // not a multiple of the lanes in blocks of 32 or 256
constexpr std::size_t kRows = 5;

std::vector<DType> encoded_types() {
    std::vector<DType> types;
    for (const FormatInfo& format : tensor::formats()) {
        if (format.encode != nullptr && format.block_elements > 1) types.push_back(format.dtype);
    }
    return types;
}

struct Numbers {
    std::vector<float> values;      // [kRows, kCols]
    std::vector<float> importance;  // [kCols]

    [[nodiscard]] WeightRows rows(bool weighted) const {
        return {.values = values.data(), .importance = weighted ? importance.data() : nullptr, .n_rows = kRows, .n_cols = kCols};
    }
};

// Like a model's: mostly normal, some far out, columns of different size and use.
Numbers like_weights(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Numbers numbers;
    for (std::size_t i = 0; i < kRows * kCols; ++i) numbers.values.push_back(0.03F * normal(random) * (random() % 400 == 0 ? 7.0F : 1.0F));
    for (std::size_t i = 0; i < kCols; ++i) numbers.importance.push_back(std::exp(1.3F * normal(random)));
    return numbers;
}

std::vector<std::byte> encode(DType type, const WeightRows& rows, EncodeRows with = host_encoder()) {
    std::vector<std::byte> out(tensor::format_of(type).row_bytes(rows.n_rows * rows.n_cols));
    with(type, rows, out.data());
    return out;
}

double error_of(DType type, const std::vector<std::byte>& blocks, const Numbers& numbers, bool weighted) {
    std::vector<float> decoded(numbers.values.size());
    tensor::format_of(type).decode(blocks.data(), decoded.data(), decoded.size());
    double sum = 0.0;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
        const double off = static_cast<double>(decoded[i]) - static_cast<double>(numbers.values[i]);
        sum += off * off * (weighted ? static_cast<double>(numbers.importance[i % kCols]) : 1.0);
    }
    return sum;
}

std::vector<std::byte> encode_plainly(DType type, const Numbers& numbers) {
    std::vector<std::byte> out(tensor::format_of(type).row_bytes(numbers.values.size()));
    tensor::format_of(type).encode(numbers.values.data(), out.data(), numbers.values.size());
    return out;
}

TEST(Encoding, LosesLessThanPlainRounding) {
    for (const DType type : encoded_types()) {
        SCOPED_TRACE(tensor::format_of(type).name);
        for (unsigned seed = 1; seed < 4; ++seed) {
            const Numbers numbers = like_weights(seed);
            const double plain = error_of(type, encode_plainly(type, numbers), numbers, false);
            EXPECT_LT(error_of(type, encode(type, numbers.rows(false)), numbers, false), 0.98 * plain);
        }
    }
}

TEST(Encoding, ImportanceLowersTheErrorThatItWeighs) {
    for (const DType type : encoded_types()) {
        SCOPED_TRACE(tensor::format_of(type).name);
        const Numbers numbers = like_weights(7);
        const std::vector<std::byte> without = encode(type, numbers.rows(false));
        const std::vector<std::byte> with = encode(type, numbers.rows(true));
        EXPECT_LT(error_of(type, with, numbers, true), 0.99 * error_of(type, without, numbers, true));
        EXPECT_GT(error_of(type, with, numbers, false), error_of(type, without, numbers, false));
    }
}

TEST(Encoding, EveryInstructionSetGivesTheSameBytes) {
    for (const DType type : encoded_types()) {
        for (const bool weighted : {false, true}) {
            const Numbers numbers = like_weights(11);
            const std::vector<std::byte> expected = encode(type, numbers.rows(weighted), cpu::encoder(cpu::Isa::kScalar));
            for (const cpu::Isa isa : cpu::available_isas()) {
                EXPECT_EQ(encode(type, numbers.rows(weighted), cpu::encoder(isa)), expected)
                    << tensor::format_of(type).name << " " << cpu::to_string(isa);
            }
        }
    }
}

TEST(Encoding, RowsAreIndependentOfThoseBesideThem) {
    const Numbers numbers = like_weights(13);
    for (const DType type : encoded_types()) {
        const std::vector<std::byte> whole = encode(type, numbers.rows(true));
        std::vector<std::byte> joined;
        for (std::size_t r = 0; r < kRows; ++r) {
            const WeightRows row{
                .values = numbers.values.data() + r * kCols, .importance = numbers.importance.data(), .n_rows = 1, .n_cols = kCols};
            const std::vector<std::byte> one = encode(type, row);
            joined.insert(joined.end(), one.begin(), one.end());
        }
        EXPECT_EQ(joined, whole) << tensor::format_of(type).name;
    }
}

TEST(Encoding, WhatATypeCanSayExactlyStaysExact) {
    for (const DType type : encoded_types()) {
        SCOPED_TRACE(tensor::format_of(type).name);
        Numbers zeros{.values = std::vector<float>(kRows * kCols, 0.0F), .importance = std::vector<float>(kCols, 1.0F)};
        EXPECT_EQ(error_of(type, encode(type, zeros.rows(false)), zeros, false), 0.0);
        EXPECT_EQ(error_of(type, encode(type, zeros.rows(true)), zeros, false), 0.0);
        // One weight of each block that is not zero.
        Numbers single = zeros;
        for (std::size_t i = 3; i < single.values.size(); i += 32) single.values[i] = -0.5F;
        // IQ4's table has no zero, and its 1 is 1/127 of the value.
        const bool has_zero = type != DType::kIQ4_NL && type != DType::kIQ4_XS;
        const double allowed = has_zero ? 1e-5 : 31 * 0.25 / (126.0 * 126.0);
        EXPECT_LT(error_of(type, encode(type, single.rows(true)), single, false), allowed * static_cast<double>(single.values.size() / 32));
    }
}

TEST(Encoding, EqualWeightsStayNearlyEqual) {
    for (const DType type : encoded_types()) {
        for (const float value : {0.7F, -0.7F}) {
            const Numbers same{.values = std::vector<float>(kRows * kCols, value), .importance = std::vector<float>(kCols, 2.0F)};
            const double error = error_of(type, encode(type, same.rows(true)), same, false) / static_cast<double>(same.values.size());
            // MXFP4 has no scale between powers of two.
            EXPECT_LT(error, type == DType::kMXFP4 ? 0.05 * 0.49 : 1e-4) << tensor::format_of(type).name << " " << value;
        }
    }
}

TEST(Encoding, ColumnsThatCountNothingDoNoHarm) {
    for (const DType type : encoded_types()) {
        SCOPED_TRACE(tensor::format_of(type).name);
        Numbers numbers = like_weights(17);
        for (std::size_t c = 0; c < kCols; c += 2) numbers.importance[c] = 0.0F;
        for (std::size_t c = 256; c < 512; ++c) numbers.importance[c] = 0.0F;  // whole blocks
        const double error = error_of(type, encode(type, numbers.rows(true)), numbers, false);
        double all = 0.0;
        for (const float x : numbers.values) all += static_cast<double>(x) * static_cast<double>(x);
        EXPECT_LE(error, 1.5 * all);
    }
}

TEST(Encoding, NumbersOfAnySizeAreHandled) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const DType type : encoded_types()) {
        for (const float odd : {1e-38F, 1e-42F, 1e30F, 3.4e38F, kInfinity, -kInfinity, nan}) {
            Numbers numbers = like_weights(19);
            for (std::size_t i = 5; i < numbers.values.size(); i += 97) numbers.values[i] = odd;
            const std::vector<std::byte> expected = encode(type, numbers.rows(true), cpu::encoder(cpu::Isa::kScalar));
            EXPECT_EQ(encode(type, numbers.rows(true)), expected) << tensor::format_of(type).name << " " << odd;
            numbers.values.assign(numbers.values.size(), odd);
            EXPECT_EQ(encode(type, numbers.rows(false)), encode(type, numbers.rows(false), cpu::encoder(cpu::Isa::kScalar)));
        }
    }
}

TEST(Encoding, WhatNoScaleCanHoldDoesNotBecomeZero) {
    for (const DType type : encoded_types()) {
        if (type == DType::kMXFP4) continue;  // its scale is a power of two
        for (const float size : {1e12F, 1e16F, 1e20F, 1e30F, 1e38F}) {
            for (const bool weighted : {false, true}) {
                Numbers numbers = like_weights(29);
                for (float& x : numbers.values) x *= size;
                std::vector<float> decoded(numbers.values.size());
                tensor::format_of(type).decode(encode(type, numbers.rows(weighted)).data(), decoded.data(), decoded.size());
                for (std::size_t first = 0; first < decoded.size(); first += tensor::format_of(type).block_elements) {
                    bool is_finite = true;
                    for (std::size_t i = first; i < first + tensor::format_of(type).block_elements; ++i)
                        is_finite &= std::isfinite(decoded[i]);
                    EXPECT_FALSE(is_finite) << tensor::format_of(type).name << " " << size << " block at " << first;
                }
            }
        }
    }
}

TEST(Encoding, PlainTypesAreRounded) {
    const Numbers numbers = like_weights(23);
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
        EXPECT_EQ(encode(type, numbers.rows(false)), encode_plainly(type, numbers));
        EXPECT_EQ(encode(type, numbers.rows(true)), encode_plainly(type, numbers));
    }
}

}  // namespace
}  // namespace rafter::backend
