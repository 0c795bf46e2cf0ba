// Quantising activations: against the definition, at the edges, and with the same bits from every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
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
    std::vector<model::QuantizedBlock> blocks;
    std::vector<std::byte> bytes;
};

Quantized quantize(Isa isa, const std::vector<float>& x, Encoding encoding) {
    Quantized q;
    q.bytes.resize(model::row_bytes(encoding, x.size()));
    linear_kernels(isa).quantize(x.data(), x.size(), encoding, q.bytes.data());
    for (std::size_t b = 0; b < x.size() / 32; ++b) {
        model::QuantizedBlock16 block{};
        const std::size_t size = encoding == Encoding::kQ16 ? sizeof(model::QuantizedBlock16) : sizeof(model::QuantizedBlock);
        std::memcpy(static_cast<void*>(&block), q.bytes.data() + b * size, size);
        q.low.insert(q.low.end(), std::begin(block.low), std::end(block.low));
        q.high.insert(q.high.end(), std::begin(block.high), std::end(block.high));
        q.blocks.push_back(block);
    }
    for (std::size_t i = 0; i < x.size(); ++i) q.integers.push_back(128 * q.high[i] + q.low[i]);
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
                const double scale = q.blocks[i / 32].scale;
                ASSERT_EQ(q.blocks[i / 32].scale, largest / static_cast<float>(most(encoding)));
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
            for (std::size_t b = 0; b < q.blocks.size(); ++b) {
                const model::QuantizedBlock& block = q.blocks[b];
                const auto first = q.integers.begin() + static_cast<std::ptrdiff_t>(32 * b);
                for (int half = 0; half < 2; ++half) {
                    const int sum = std::accumulate(first + 16 * half, first + 16 * half + 16, 0);
                    ASSERT_EQ(block.lower_of_16[half], -128 * sum);
                    ASSERT_EQ(block.minus_of_16[half], -(block.scale * static_cast<float>(sum)));
                }
                const int sum = std::accumulate(first, first + 32, 0);
                ASSERT_EQ(block.lower, -128 * sum);
                ASSERT_EQ(block.minus, -(block.scale * static_cast<float>(sum)));
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
                ASSERT_EQ(quantize(isa, x, encoding).bytes, expected.bytes);
            }
        }
    }
}

TEST(Quantize, MakesZerosOfWhatIsTooSmallForAScale) {
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const Encoding encoding : kEncodings) {
            for (const float tiny : {0.0F, -0.0F, 1e-45F, 1e-38F, std::ldexp(0.999F, -80)}) {
                const Quantized q = quantize(isa, std::vector<float>(32, tiny), encoding);
                EXPECT_EQ(q.blocks[0].scale, 0.0F);
                EXPECT_EQ(q.integers, std::vector<int>(32, 0));
                EXPECT_EQ(q.blocks[0].lower, 0);
            }
            const Quantized smallest = quantize(isa, std::vector<float>(32, std::ldexp(1.0F, -80)), encoding);
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
                    EXPECT_TRUE(std::isnan(q.blocks[1].scale));
                    for (std::size_t i = 32; i < 64; ++i) EXPECT_EQ(q.integers[i], 0);
                    for (const std::size_t i : {0U, 31U, 64U, 95U}) EXPECT_EQ(q.integers[i], most(encoding));
                    EXPECT_FALSE(std::isnan(q.blocks[0].scale) || std::isnan(q.blocks[2].scale));
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
