#include "tensor/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace rafter::tensor {
namespace {

TEST(Half, EveryF16SurvivesTheWayToF32AndBack) {
    for (std::uint32_t half = 0; half < 0x10000; ++half) {
        const float value = f16_to_f32(static_cast<std::uint16_t>(half));
        const bool is_nan = (half & 0x7fff) > 0x7c00;
        ASSERT_EQ(std::isnan(value), is_nan) << half;
        ASSERT_EQ(f32_to_f16(value), is_nan ? half | 0x200 : half) << half;  // quiet
    }
}

// The definition in the standard, instead of its bits.
TEST(Half, F16IsItsMantissaTimesAPowerOfTwo) {
    for (std::uint32_t half = 0; half < 0x7c00; ++half) {
        const int exponent = static_cast<int>(half >> 10);
        const int mantissa = static_cast<int>(half & 0x3ff);
        const double expected = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
        ASSERT_EQ(f16_to_f32(static_cast<std::uint16_t>(half)), expected);
        ASSERT_EQ(f16_to_f32(static_cast<std::uint16_t>(half | 0x8000)), -expected);
    }
}

TEST(Half, F32RoundsToTheNearestF16AndTiesToTheEvenOne) {
    for (std::uint32_t half = 0; half + 1 < 0x7c00; ++half) {
        const float low = f16_to_f32(static_cast<std::uint16_t>(half));
        const float high = f16_to_f32(static_cast<std::uint16_t>(half + 1));
        const float middle = (low + high) / 2;  // exact: an f32 has 13 bits more
        ASSERT_EQ(f32_to_f16(middle), half + half % 2) << low;
        ASSERT_EQ(f32_to_f16(std::nextafter(middle, low)), half) << low;
        ASSERT_EQ(f32_to_f16(std::nextafter(middle, high)), half + 1) << low;
        ASSERT_EQ(f32_to_f16(-std::nextafter(middle, high)), 0x8000 | (half + 1)) << low;
    }
}

TEST(Half, WhatIsTooLargeForF16BecomesInfinity) {
    EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
    EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
    EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
    EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Half, NanStaysNanEvenWhenItsPayloadIsInTheBitsCutOff) {
    const float nan = std::bit_cast<float>(0x7f800001u);
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan))));
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
}

TEST(Half, EveryBf16SurvivesAndTiesRoundToTheEvenOne) {
    for (std::uint32_t brain = 0; brain < 0x7f80; ++brain) {
        ASSERT_EQ(f32_to_bf16(bf16_to_f32(static_cast<std::uint16_t>(brain))), brain);
        ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(brain << 16 | 0x8000)), brain + brain % 2);
        ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(brain << 16 | 0x7fff)), brain);
        ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(brain << 16 | 0x8001)), brain + 1);
    }
}

}  // namespace
}  // namespace rafter::tensor
