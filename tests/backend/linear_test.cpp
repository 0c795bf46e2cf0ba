// Matrix times activations, every format and instruction set: against float64 with a derived bound, and bit-equal among all numbers of
// columns, shares of panels and instruction sets.
#include "backend/cpu/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "model/workspace.h"
#include "tensor/formats/formats.h"
#include "tests/backend/linear_problem.h"
#include "tests/backend/weights_for_tests.h"
#include "tests/isa_under_test.h"

namespace rafter::backend::cpu {
namespace {

using model::Encoding;
using tensor::DType;

using Case = tests::LinearCase;
using Problem = tests::LinearProblem;
using Scratch = tests::LinearScratch;
using tests::one_by_one;
using tests::same_bits;

// Results of the first n_columns inputs, [n_columns][n_rows]: the same ones however weights are fetched.
std::vector<float> results(Isa isa, const Problem& problem, std::uint32_t n_columns) {
    static Scratch scratch;
    const auto run = [&](WeightFetch fetch) {
        std::memset(scratch.bytes, 0xff, sizeof scratch.bytes);  // NaN everywhere: nothing may be left over from the call before
        std::vector<float> out(std::size_t{n_columns} * problem.matrix().n_rows, std::numeric_limits<float>::quiet_NaN());
        LinearTask task = problem.task(n_columns, scratch.bytes);
        task.output = out.data();
        task.fetch = fetch;
        linear_kernels(isa).run(task);
        return out;
    };
    std::vector<float> out = run(WeightFetch::kPaced);
    EXPECT_TRUE(same_bits(out.data(), run(WeightFetch::kByProcessor).data(), out.size())) << n_columns << " columns";
    return out;
}

class Linear : public testing::TestWithParam<Case> {
  protected:
    std::mt19937 random_{11};
    // Numbers of columns of a matrix: one block, a few, and about 600: more than two chunks, and not a multiple of one.
    [[nodiscard]] std::vector<std::uint32_t> widths() const {
        const std::uint32_t block = tensor::format_of(GetParam().dtype).block_elements;
        if (block == 1) return {1, 7, 255, 256, 257, 600};
        if (block == 32) return {32, 96, 256, 288, 608};
        return {block, 3 * block};
    }
};

TEST_P(Linear, IsNearTheExactResult) {
    for (const std::uint32_t n_cols : widths()) {
        for (const std::uint32_t n_rows : {1U, 16U, 37U}) {
            const Problem problem(GetParam(), n_rows, n_cols, 3, random_);
            const std::vector<float> found = one_by_one(problem);
            for (std::uint32_t i = 0; i < 3; ++i) {
                for (std::uint32_t row = 0; row < n_rows; ++row) problem.expect_near_exact(row, i, found[std::size_t{i} * n_rows + row]);
            }
        }
    }
}

TEST_P(Linear, GivesTheSameBitsForEveryNumberOfColumnsAndInstructionSet) {
    const std::vector<std::uint32_t> all = widths();
    for (const std::uint32_t n_cols : all) {
        const std::uint32_t most = n_cols == all.back() ? 40 : 6;
        const Problem problem(GetParam(), 37, n_cols, most, random_);
        const std::vector<float> expected = one_by_one(problem);
        for (const Isa isa : tests::isas_under_test(available_isas())) {
            for (std::uint32_t n = 1; n <= most; ++n) {
                const std::vector<float> found = results(isa, problem, n);
                ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size()))
                    << to_string(isa) << ", " << n << " columns of " << n_cols;
            }
        }
    }
}

// More columns than share one unpacking.
TEST_P(Linear, GivesTheSameBitsForHundredsOfColumns) {
    const Problem problem(GetParam(), 17, widths()[1], 515, random_);
    const std::vector<float> expected = one_by_one(problem);
    const Isa isa = best_isa();
    for (const std::uint32_t n : {255U, 256U, 257U, 515U}) {
        const std::vector<float> found = results(isa, problem, n);
        ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size())) << to_string(isa) << ", " << n << " columns";
    }
}

TEST_P(Linear, GivesTheSameBitsHoweverPanelsAreShared) {
    constexpr std::uint32_t kRows = 16 * 11 + 5;
    const Problem problem(GetParam(), kRows, widths()[1], 5, random_);
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const std::uint32_t n : {1U, 2U, 5U}) {
            const std::vector<float> whole = results(isa, problem, n);
            for (const std::uint32_t share : {1U, 2U, 3U, 5U}) {
                Scratch scratch;
                std::vector<float> out(whole.size());
                for (std::uint32_t first = 0; first < 12; first += share) {
                    LinearTask task = problem.task(n, scratch.bytes);
                    task.output = out.data();
                    task.first_panel = first;
                    task.last_panel = std::min(first + share, 12U);
                    // Neighbouring parts in different ways.
                    task.fetch = first / share % 2 == 0 ? WeightFetch::kByProcessor : WeightFetch::kPaced;
                    linear_kernels(isa).run(task);
                }
                ASSERT_TRUE(same_bits(out.data(), whole.data(), out.size())) << to_string(isa) << ", " << share << " panels at a time";
            }
        }
    }
}

// Tokens grouped by expert: inputs and outputs are picked by lists, and nothing else is written.
TEST_P(Linear, ReadsAndWritesTheListedRowsOnly) {
    constexpr std::uint32_t kRows = 21;
    const Problem problem(GetParam(), kRows, widths()[1], 9, random_);
    const std::vector<float> expected = one_by_one(problem);
    const std::uint32_t in[] = {7, 0, 7, 3, 8, 1, 2};
    const std::uint32_t out_rows[] = {2, 9, 0, 5, 4, 7, 11};
    constexpr std::size_t kStride = kRows + 3;
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (std::uint32_t n = 1; n <= 7; ++n) {
            Scratch scratch;
            std::vector<float> out(13 * kStride, 77.0F);
            LinearTask task = problem.task(n, scratch.bytes);
            task.input_rows = in;
            task.output_rows = out_rows;
            task.output = out.data();
            task.output_stride = kStride;
            task.fetch = n % 2 == 0 ? WeightFetch::kPaced : WeightFetch::kByProcessor;
            linear_kernels(isa).run(task);
            for (std::uint32_t c = 0; c < n; ++c) {
                float* found = out.data() + out_rows[c] * kStride;
                ASSERT_TRUE(same_bits(found, expected.data() + std::size_t{in[c]} * kRows, kRows)) << to_string(isa);
                std::fill(found, found + kRows, 77.0F);
            }
            ASSERT_EQ(out, std::vector<float>(13 * kStride, 77.0F)) << to_string(isa) << ": wrote where it should not";
        }
    }
}

// Subnormal scales, the largest ones, and inputs of every magnitude: finite, near the truth, and the same everywhere.
TEST_P(Linear, KeepsItsBoundsAtExtremeScales) {
    for (const tests::ScaleRange range : {tests::ScaleRange{-24, -15}, tests::ScaleRange{-24, 8}, tests::ScaleRange{14, 15}}) {
        for (const int exponent : {-79, -60, 30}) {
            Problem problem(GetParam(), 18, widths().back(), 3, random_, range);
            for (float& x : problem.values()) x = std::ldexp(x, exponent);
            problem.encode_inputs();
            const std::vector<float> expected = one_by_one(problem);
            for (std::uint32_t i = 0; i < 3; ++i) {
                for (std::uint32_t row = 0; row < 18; ++row) problem.expect_near_exact(row, i, expected[std::size_t{i} * 18 + row]);
            }
            for (const Isa isa : tests::isas_under_test(available_isas())) {
                for (const std::uint32_t n : {1U, 3U}) {
                    const std::vector<float> found = results(isa, problem, n);
                    ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size())) << to_string(isa);
                    for (const float x : found) ASSERT_TRUE(std::isfinite(x));
                }
            }
        }
    }
}

TEST_P(Linear, GivesZerosForZeros) {
    Problem problem(GetParam(), 18, widths().back(), 4, random_);
    for (float& x : problem.values()) x = 0;
    problem.encode_inputs();
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const std::uint32_t n : {1U, 4U}) {
            for (const float x : results(isa, problem, n)) ASSERT_EQ(x, 0.0F);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Linear, testing::ValuesIn(tests::linear_cases()), tests::linear_case_name);

// Integer sums at their limits: what saturating or narrow arithmetic would get wrong.
TEST(LinearLimits, SumsOfTheLargestProductsAreExact) {
    std::mt19937 random(12);
    for (const Case c : tests::linear_cases()) {
        if (c.encoding == Encoding::kF32) continue;
        const std::uint32_t block = tensor::format_of(c.dtype).block_elements;
        for (const float sign : {1.0F, -1.0F}) {
            for (const std::uint8_t fill : {std::uint8_t{0xff}, std::uint8_t{0x80}, std::uint8_t{0x00}, std::uint8_t{0x7f}}) {
                Problem problem(c, 16, 2 * block, 3, random);
                auto* data = const_cast<std::byte*>(problem.matrix().data);
                // All payload bits alike; scales stay, and so does what else is not 4-byte payload in Q8_0, the one with whole bytes.
                const std::size_t group = problem.matrix().panel_bytes / 2;
                if (c.dtype == DType::kQ8_0 || c.dtype == DType::kQ4_0 || c.dtype == DType::kQ5_0) {
                    for (std::size_t g = 0; g < 2; ++g) std::memset(data + g * group + 32, fill, group - 32);
                }
                for (float& x : problem.values()) x = sign;
                problem.encode_inputs();
                const std::vector<float> expected = one_by_one(problem);
                for (const Isa isa : available_isas()) {
                    for (const std::uint32_t n : {1U, 3U}) {
                        const std::vector<float> found = results(isa, problem, n);
                        ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size()))
                            << to_string(isa) << " " << tensor::format_of(c.dtype).name << " " << int{fill};
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
