// The vector operations: scalar against what they mean, every other instruction set against scalar, bit for bit.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "backend/cpu/isa.h"
#include "tensor/half.h"
#include "tests/backend/vec_results.h"
#include "tests/isa_under_test.h"

namespace rafter::tests {
namespace {

using backend::cpu::Isa;

VecResults operations(Isa isa, const VecOperands& operands) {
    VecResults results;
    if (isa == Isa::kScalar) vec_operations_scalar(operands, results);
    if (isa == Isa::kAvx2) vec_operations_avx2(operands, results);
    if (isa == Isa::kAvx512 || isa == Isa::kAmx) vec_operations_avx512(operands, results);
    return results;
}

// Floats of every exponent, subnormals and infinities among them, and now and then a value that is halfway between two bfloat16.
float any_float(std::mt19937& random) {
    auto bits = static_cast<std::uint32_t>(random());
    if (random() % 8 == 0) bits = (bits & 0xffff0000U) | 0x8000U;
    if (random() % 16 == 0) bits &= 0x807fffffU;
    const auto value = std::bit_cast<float>(bits);
    return std::isnan(value) ? 1.5F : value;
}

VecOperands any_operands(std::mt19937& random) {
    VecOperands x;
    const bool ordinary = random() % 2 == 0;
    std::normal_distribution<float> normal;
    for (int i = 0; i < 16; ++i) {
        x.a[i] = ordinary ? normal(random) : any_float(random);
        x.b[i] = ordinary ? normal(random) : any_float(random);
        x.c[i] = ordinary ? normal(random) : any_float(random);
        x.small[i] = std::ldexp(normal(random), static_cast<int>(random() % 28));
        if (random() % 4 == 0) x.small[i] = std::round(x.small[i]) + 0.5F;
        x.i[i] = static_cast<std::int32_t>(random());
        x.j[i] = static_cast<std::int32_t>(random());
        x.halves[i] = static_cast<std::uint16_t>(random());
        x.bytes[i] = static_cast<std::uint8_t>(random());
    }
    return x;
}

// NaNs are equal whatever their payload: an instruction set may choose it.
bool same(const VecResult& a, const VecResult& b) {
    for (int i = 0; i < 16; ++i) {
        if (a.lane[i] == b.lane[i]) continue;
        if (!std::isnan(std::bit_cast<float>(a.lane[i])) || !std::isnan(std::bit_cast<float>(b.lane[i]))) return false;
    }
    return true;
}

TEST(Vec, EveryInstructionSetGivesTheBitsOfScalar) {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        const VecOperands x = any_operands(random);
        const VecResults expected = operations(Isa::kScalar, x);
        for (const Isa isa : isas_under_test(backend::cpu::available_isas())) {
            const VecResults found = operations(isa, x);
            ASSERT_EQ(found.n_rows, expected.n_rows);
            for (int row = 0; row < found.n_rows; ++row) {
                ASSERT_TRUE(same(found.rows[row], expected.rows[row]))
                    << to_string(isa) << ": " << found.rows[row].name << ", round " << round;
            }
        }
    }
}

TEST(Vec, NotANumberStaysOneInSixteenBits) {
    VecOperands x{};
    for (float& a : x.a) a = std::numeric_limits<float>::quiet_NaN();
    x.a[3] = std::bit_cast<float>(0xff800001U);  // would become an infinity if it were cut off
    for (const Isa isa : isas_under_test(backend::cpu::available_isas())) {
        const VecResults results = operations(isa, x);
        for (int row = 0; row < results.n_rows; ++row) {
            const std::string name = results.rows[row].name;
            std::uint16_t halves[16];
            std::memcpy(halves, results.rows[row].lane, sizeof halves);
            for (const std::uint16_t half : halves) {
                if (name == "store_f16") {
                    EXPECT_TRUE(std::isnan(tensor::f16_to_f32(half))) << to_string(isa);
                }
                if (name == "store_bf16") {
                    EXPECT_TRUE(std::isnan(tensor::bf16_to_f32(half))) << to_string(isa);
                }
            }
        }
    }
}

// What the names promise, of the scalar one; the others give the same.
TEST(Vec, ScalarDoesWhatTheNamesSay) {
    std::mt19937 random(2);
    for (int round = 0; round < 200; ++round) {
        const VecOperands x = any_operands(random);
        const VecResults results = operations(Isa::kScalar, x);
        int checked = 0;
        for (int row = 0; row < results.n_rows; ++row) {
            const std::string name = results.rows[row].name;
            for (int i = 0; i < 16; ++i) {
                const std::uint32_t bits = results.rows[row].lane[i];
                const auto value = std::bit_cast<float>(bits);
                const auto expect = [&](float expected) {
                    ++checked;
                    EXPECT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected)))
                        << name << " " << value << " " << expected;
                };
                if (name == "fma") expect(std::fma(x.a[i], x.b[i], x.c[i]));
                if (name == "negate") expect(-x.a[i]);
                if (name == "abs") expect(std::fabs(x.a[i]));
                if (name == "round_nearest") expect(std::nearbyint(x.a[i]));
                if (name == "select_less") expect(x.a[i] < x.b[i] ? x.c[i] : x.a[i]);
                if (name == "to_int") {
                    EXPECT_EQ(static_cast<std::int32_t>(bits), std::lrint(x.small[i]));
                }
                if (name == "shift_right_signed") {
                    EXPECT_EQ(static_cast<std::int32_t>(bits), x.i[i] >> 5);
                }
                if (name == "load_i8") {
                    EXPECT_EQ(static_cast<std::int32_t>(bits), static_cast<std::int8_t>(x.bytes[i]));
                }
            }
        }
        EXPECT_EQ(checked, 5 * 16);
    }
}

TEST(Vec, SumsOverLanesInHalves) {
    VecOperands x{};
    // In this order nothing is lost; added from lane 0 upwards, the ones would be.
    for (int i = 0; i < 16; ++i) x.a[i] = 1;
    x.a[0] = 1e9F;
    x.a[8] = -1e9F;
    for (const Isa isa : isas_under_test(backend::cpu::available_isas())) {
        const VecResults results = operations(isa, x);
        for (int row = 0; row < results.n_rows; ++row) {
            if (std::string(results.rows[row].name) == "reduce_sum") {
                EXPECT_EQ(std::bit_cast<float>(results.rows[row].lane[0]), 14.0F);
            }
        }
    }
}

}  // namespace
}  // namespace rafter::tests
