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
#include "tests/backend/weights_for_tests.h"
#include "tests/isa_under_test.h"

namespace rafter::backend::cpu {
namespace {

using model::Encoding;
using tensor::DType;

struct Case {
    DType dtype;
    Encoding encoding;
};

// A matrix, inputs for it, and what they mean exactly.
class Problem {
  public:
    Problem(Case c, std::uint32_t n_rows, std::uint32_t n_cols, std::uint32_t n_inputs, std::mt19937& random, tests::ScaleRange range = {})
        : case_(c), n_rows_(n_rows), n_cols_(n_cols), n_inputs_(n_inputs) {
        blocks_ = tests::random_blocks(c.dtype, n_rows, n_cols, random, range);
        packed_.resize(packed_bytes(c.dtype, n_rows, n_cols) + 64);
        std::byte* data = packed_.data() + (64 - reinterpret_cast<std::uintptr_t>(packed_.data()) % 64) % 64;
        matrix_ = packed_matrix(c.dtype, n_rows, n_cols, data);
        pack_panels(matrix_, blocks_.data(), 0, matrix_.n_panels, data);
        std::normal_distribution<float> normal;
        values_.resize(std::size_t{n_inputs} * n_cols);
        for (float& x : values_) x = normal(random);
        encode_inputs();
    }

    [[nodiscard]] const PackedMatrix& matrix() const { return matrix_; }
    [[nodiscard]] std::uint32_t n_inputs() const { return n_inputs_; }

    [[nodiscard]] LinearTask task(std::uint32_t n_columns, std::byte* scratch) const {
        LinearTask task;
        task.weights = matrix_;
        task.encoding = case_.encoding;
        task.input = inputs_.data();
        task.input_stride_bytes = stride_;
        task.output_stride = n_rows_;
        task.n_columns = n_columns;
        task.last_panel = matrix_.n_panels;
        task.scratch = scratch;
        return task;
    }

    // The input as the kernels take it: what its integers mean, where it is quantised.
    [[nodiscard]] std::vector<double> exact_input(std::uint32_t input) const {
        std::vector<double> x(n_cols_);
        const std::byte* row = inputs_.data() + input * stride_;
        for (std::uint32_t k = 0; k < n_cols_; ++k) x[k] = values_[std::size_t{input} * n_cols_ + k];
        if (case_.encoding == Encoding::kF32) return x;
        const std::size_t block_bytes = case_.encoding == Encoding::kQ16 ? sizeof(model::QuantizedBlock16) : sizeof(model::QuantizedBlock);
        for (std::uint32_t k = 0; k < n_cols_; ++k) {
            model::QuantizedBlock16 block{};
            std::memcpy(static_cast<void*>(&block), row + k / 32 * block_bytes, block_bytes);
            x[k] = static_cast<double>(block.scale) * (128 * block.high[k % 32] + block.low[k % 32]);
        }
        return x;
    }

    // How far a result may be from the exact one: each of the sequence's roundings is at most 2^-24 of the sum of magnitudes.
    // Quantised inputs: two fma a sub-block of 16 or 32 at most, and in each term the scales' product, the sum's conversion and the
    // minimum's product. Floats: 256 fma, an addition for each 256, and decode()'s two roundings.
    [[nodiscard]] double n_roundings() const {
        if (case_.encoding == Encoding::kF32) return 256.0 + n_cols_ / 256.0 + 1 + 2;
        return 2.0 * n_cols_ / 16 + 3;
    }

    // Of a result of row and input.
    void expect_near_exact(std::uint32_t row, std::uint32_t input, float found) const {
        const std::byte* blocks = blocks_.data() + row * tensor::format_of(case_.dtype).row_bytes(n_cols_);
        const tests::ExactRow weights = tests::exact_row(case_.dtype, blocks, n_cols_);
        const std::vector<double> x = exact_input(input);
        double exact = 0;
        double magnitude = 0;
        for (std::uint32_t k = 0; k < n_cols_; ++k) {
            exact += weights.value[k] * x[k];
            magnitude += weights.magnitude[k] * std::fabs(x[k]);
        }
        // Below 2^-126 floats lose bits: products of two scales by 2^-150 each, times the largest integer sum of 32.
        const double underflow = n_cols_ * std::ldexp(1, -150) * 255 * 16256;
        ASSERT_LE(std::fabs(found - exact), n_roundings() * std::ldexp(magnitude, -24) + underflow) << "row " << row << ", input " << input;
    }

    [[nodiscard]] std::vector<float>& values() { return values_; }
    void encode_inputs() {
        stride_ = model::row_bytes({.name = "", .width = n_cols_, .encoding = case_.encoding});
        inputs_.assign(n_inputs_ * stride_, std::byte{0});
        for (std::uint32_t i = 0; i < n_inputs_; ++i) {
            const float* x = values_.data() + std::size_t{i} * n_cols_;
            if (case_.encoding == Encoding::kF32) {
                std::memcpy(inputs_.data() + i * stride_, x, n_cols_ * sizeof(float));
            } else {
                linear_kernels(Isa::kScalar).quantize(x, n_cols_, case_.encoding, inputs_.data() + i * stride_);
            }
        }
    }

  private:
    Case case_;
    std::uint32_t n_rows_, n_cols_, n_inputs_;
    std::vector<std::byte> blocks_, packed_, inputs_;
    std::vector<float> values_;
    std::size_t stride_ = 0;
    PackedMatrix matrix_;
};

struct alignas(64) Scratch {
    std::byte bytes[kLinearScratchBytes];
};

bool same_bits(const float* a, const float* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

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

// Each column by itself, on scalar.
std::vector<float> one_by_one(const Problem& problem) {
    static Scratch scratch;
    const std::uint32_t n_rows = problem.matrix().n_rows;
    std::vector<float> out(std::size_t{problem.n_inputs()} * n_rows);
    for (std::uint32_t i = 0; i < problem.n_inputs(); ++i) {
        LinearTask task = problem.task(1, scratch.bytes);
        task.input_rows = &i;
        task.output = out.data() + std::size_t{i} * n_rows;
        linear_kernels(Isa::kScalar).run(task);
    }
    return out;
}

std::vector<Case> cases() {
    std::vector<Case> all;
    for (const DType dtype : tests::matrix_formats()) {
        all.push_back({dtype, Encoding::kF32});
        if (tensor::format_of(dtype).block_elements == 1) continue;
        all.push_back({dtype, Encoding::kQ8});
        all.push_back({dtype, Encoding::kQ16});
    }
    return all;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
    const char* encoding[] = {"F32", "Q8", "Q16"};
    return std::string(tensor::format_of(info.param.dtype).name) + "_times_" + encoding[static_cast<int>(info.param.encoding)];
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

INSTANTIATE_TEST_SUITE_P(Kernels, Linear, testing::ValuesIn(cases()), case_name);

// Integer sums at their limits: what saturating or narrow arithmetic would get wrong.
TEST(LinearLimits, SumsOfTheLargestProductsAreExact) {
    std::mt19937 random(12);
    for (const Case c : cases()) {
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
