// Quantising activations: against the definition, at the edges, and with the same bits from every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "backend/cpu/linear.h"
#include "model/workspace.h"
#include "tests/isa_under_test.h"

namespace rafter::backend::cpu {
namespace {

using model::Encoding;

struct Quantized {
    std::vector<int> integers;  // 128 * high + low
    std::vector<int> high, low;
    std::vector<float> scale;
    std::vector<std::int32_t> sum;
    std::vector<std::byte> bytes;
};

template <typename T>
std::vector<T> part(const std::vector<std::byte>& bytes, std::size_t offset, std::size_t n) {
    std::vector<T> values(n);
    std::memcpy(values.data(), bytes.data() + offset, n * sizeof(T));
    return values;
}

Quantized quantize(Isa isa, const std::vector<float>& x, Encoding encoding) {
    const model::QuantizedRow at = model::quantized_row(encoding, x.size());
    Quantized q;
    q.bytes.resize(at.size_bytes);
    linear_kernels(isa).quantize(x.data(), x.size(), encoding, q.bytes.data());
    for (const std::int8_t low : part<std::int8_t>(q.bytes, at.low, x.size())) q.low.push_back(low);
    q.high.assign(x.size(), 0);
    if (encoding == Encoding::kQ16) {
        const auto high = part<std::int8_t>(q.bytes, at.high, x.size());
        q.high.assign(high.begin(), high.end());
    }
    for (std::size_t i = 0; i < x.size(); ++i) q.integers.push_back(128 * q.high[i] + q.low[i]);
    q.scale = part<float>(q.bytes, at.scale, x.size() / 32);
    q.sum = part<std::int32_t>(q.bytes, at.sum, x.size() / 16);
    return q;
}

std::vector<float> random_row(std::size_t n, std::mt19937& random) {
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = std::ldexp(normal(random), static_cast<int>(i / 32 % 40) * 4 - 80);  // 2^-80 .. 2^76
    return x;
}

constexpr Encoding kEncodings[] = {Encoding::kQ8, Encoding::kQ16};
int most(Encoding encoding) { return encoding == Encoding::kQ8 ? 127 : 127 * 128; }

TEST(Quantize, IsWithinHalfAStepAndItsSumsAreThoseOfTheIntegers) {
    std::mt19937 random(3);
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const Encoding encoding : kEncodings) {
            const std::vector<float> x = random_row(40 * 32, random);
            const Quantized q = quantize(isa, x, encoding);
            for (std::size_t i = 0; i < x.size(); ++i) {
                float largest = 0;
                for (std::size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) largest = std::max(largest, std::fabs(x[j]));
                const double scale = q.scale[i / 32];
                ASSERT_EQ(q.scale[i / 32], largest / static_cast<float>(most(encoding)));
                // Half a step, and what rounding the scale, its inverse and the product may add: 3 * 2^-24 of the integer.
                ASSERT_LE(std::fabs(x[i] - scale * q.integers[i]), scale * (0.5 + 3 * std::ldexp(most(encoding), -24))) << i;
                ASSERT_LE(std::abs(q.integers[i]), most(encoding));
                ASSERT_LE(std::abs(q.high[i]), 127);
                if (encoding == Encoding::kQ16) {
                    ASSERT_LE(std::abs(q.low[i]), 64);
                }
                if (std::fabs(x[i]) == largest) {
                    ASSERT_EQ(std::abs(q.integers[i]), most(encoding));
                }
            }
            for (std::size_t s = 0; s < q.sum.size(); ++s) {
                int sum = 0;
                for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) sum += q.integers[i];
                ASSERT_EQ(q.sum[s], sum);
            }
        }
    }
}

TEST(Quantize, RoundsTiesToEven) {
    std::vector<float> x(32, 0.0F);
    x[0] = 127;  // so that the scale is 1
    x[1] = 0.5F;
    x[2] = 1.5F;
    x[3] = -2.5F;
    x[4] = -3.5F;
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        const Quantized q = quantize(isa, x, Encoding::kQ8);
        EXPECT_EQ(std::vector<int>(q.integers.begin(), q.integers.begin() + 5), (std::vector<int>{127, 0, 2, -2, -4}));
    }
}

TEST(Quantize, GivesTheSameBytesOnEveryInstructionSet) {
    std::mt19937 random(4);
    for (const Encoding encoding : kEncodings) {
        for (int round = 0; round < 200; ++round) {
            const std::vector<float> x = random_row(32 * (1 + random() % 40), random);
            const Quantized expected = quantize(Isa::kScalar, x, encoding);
            for (const Isa isa : available_isas()) {
                const Quantized found = quantize(isa, x, encoding);
                ASSERT_EQ(found.integers, expected.integers);
                ASSERT_EQ(found.scale, expected.scale);
                ASSERT_EQ(found.sum, expected.sum);
            }
        }
    }
}

TEST(Quantize, MakesZerosOfWhatIsTooSmallForAScale) {
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const Encoding encoding : kEncodings) {
            for (const float tiny : {0.0F, -0.0F, 1e-45F, 1e-38F, std::ldexp(0.999F, -100)}) {
                const Quantized q = quantize(isa, std::vector<float>(32, tiny), encoding);
                EXPECT_EQ(q.scale[0], 0.0F);
                EXPECT_EQ(q.integers, std::vector<int>(32, 0));
                EXPECT_EQ(q.sum, std::vector<std::int32_t>(2, 0));
            }
            const Quantized smallest = quantize(isa, std::vector<float>(32, std::ldexp(1.0F, -100)), encoding);
            EXPECT_EQ(smallest.integers, std::vector<int>(32, most(encoding)));
            const Quantized largest = quantize(isa, std::vector<float>(32, -std::numeric_limits<float>::max()), encoding);
            EXPECT_EQ(largest.integers, std::vector<int>(32, -most(encoding)));
        }
    }
}

TEST(Quantize, ShowsAnInfinityOrNaNInItsBlocksScaleAndNowhereElse) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const Encoding encoding : kEncodings) {
            for (const float bad : {nan, -nan, infinity, -infinity}) {
                for (const std::size_t where : {32U, 47U, 63U}) {
                    std::vector<float> x(96, 2.0F);
                    x[where] = bad;
                    const Quantized q = quantize(isa, x, encoding);
                    EXPECT_TRUE(std::isnan(q.scale[1]));
                    for (std::size_t i = 32; i < 64; ++i) EXPECT_EQ(q.integers[i], 0);
                    for (const std::size_t i : {0U, 31U, 64U, 95U}) EXPECT_EQ(q.integers[i], most(encoding));
                    EXPECT_FALSE(std::isnan(q.scale[0]) || std::isnan(q.scale[2]));
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
