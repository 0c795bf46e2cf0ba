// The tiled kernels, on the model of the tiles with every instruction set's vectors and on AMX where there is one, against the kernels for
// one column at a time: with ==.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "backend/cpu/linear.h"
#include "tensor/formats/formats.h"
#include "tests/backend/linear_problem.h"
#include "tests/backend/tiled_kernels.h"
#include "tests/isa_under_test.h"

namespace rafter::backend::cpu {
namespace {

using model::Encoding;
using tensor::DType;
using tests::LinearCase;
using tests::LinearProblem;
using tests::LinearScratch;
using tests::one_by_one;
using tests::same_bits;

// Scales of 32 elements or more.
constexpr DType kTiledFormats[] = {DType::kQ4_0,   DType::kQ4_1,  DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                   DType::kIQ4_NL, DType::kMXFP4, DType::kQ4_K, DType::kQ5_K, DType::kIQ4_XS};

std::vector<LinearCase> tiled_cases() {
    std::vector<LinearCase> all;
    for (const DType dtype : kTiledFormats) all.insert(all.end(), {{dtype, Encoding::kQ8}, {dtype, Encoding::kQ16}});
    return all;
}

// Of an instruction set: its vectors with the model of the tiles; of AMX, the tiles themselves.
void run_with_tiles(Isa isa, const LinearTask& task, const LinearKernels& vectors) {
    switch (isa) {
        case Isa::kScalar:
            return tests::tiled_scalar(task, vectors);
        case Isa::kAvx2:
            return tests::tiled_avx2(task, vectors);
        case Isa::kAvx512:
            return tests::tiled_avx512(task, vectors);
        case Isa::kAmx:
            return linear_kernels(isa).run(task);
    }
}

void no_vectors(const LinearTask& task) { ADD_FAILURE() << task.n_columns << " columns were left to vectors"; }
constexpr LinearKernels kNoVectors = {.run = no_vectors, .quantize = nullptr};

class TiledLinear : public testing::TestWithParam<LinearCase> {
  protected:
    std::mt19937 random_{31};
    [[nodiscard]] bool of_256() const { return tensor::format_of(GetParam().dtype).block_elements == 256; }
    // One block, a chunk and about one, and several with a short one at the end.
    [[nodiscard]] std::vector<std::uint32_t> widths() const {
        return of_256() ? std::vector<std::uint32_t>{256, 768} : std::vector<std::uint32_t>{32, 96, 256, 288, 608};
    }

    // Results of the first n_columns inputs, [n_columns][n_rows], all on tiles.
    static std::vector<float> results(Isa isa, const LinearProblem& problem, std::uint32_t n_columns) {
        static LinearScratch scratch;
        std::memset(scratch.bytes, 0xff, sizeof scratch.bytes);  // NaN everywhere: nothing may be left over from the call before
        std::vector<float> out(std::size_t{n_columns} * problem.matrix().n_rows, std::numeric_limits<float>::quiet_NaN());
        LinearTask task = problem.task(n_columns, scratch.bytes);
        task.output = out.data();
        task.min_tile_columns = 1;
        run_with_tiles(isa, task, kNoVectors);
        return out;
    }
};

TEST_P(TiledLinear, GivesTheBitsOfOneColumnAtATime) {
    for (const std::uint32_t n_cols : widths()) {
        const LinearProblem problem(GetParam(), 37, n_cols, 40, random_);
        const std::vector<float> expected = one_by_one(problem);
        for (const Isa isa : tests::isas_under_test(available_isas())) {
            for (const std::uint32_t n : {1U, 2U, 7U, 8U, 9U, 15U, 16U, 17U, 31U, 32U, 33U, 40U}) {
                if (isa == Isa::kScalar && n % 8 != 1) continue;  // slow
                const std::vector<float> found = results(isa, problem, n);
                ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size()))
                    << to_string(isa) << ", " << n << " columns of " << n_cols;
            }
        }
    }
}

// More columns than share one unpacking, and more panels than share the gathered inputs.
TEST_P(TiledLinear, GivesTheSameBitsForHundredsOfColumnsAndManyPanels) {
    const LinearProblem problem(GetParam(), 16 * 9 + 3, of_256() ? 512 : 288, 260, random_);
    const std::vector<float> expected = one_by_one(problem);
    const Isa isa = best_isa();
    for (const std::uint32_t n : {128U, 129U, 260U}) {
        const std::vector<float> found = results(isa, problem, n);
        ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size())) << to_string(isa) << ", " << n << " columns";
    }
}

TEST_P(TiledLinear, GivesTheSameBitsHoweverPanelsAreShared) {
    constexpr std::uint32_t kPanels = 12;
    const LinearProblem problem(GetParam(), 16 * (kPanels - 1) + 5, widths()[1], 18, random_);
    const std::vector<float> expected = one_by_one(problem);
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const std::uint32_t share : {1U, 3U, 5U, 9U}) {
            static LinearScratch scratch;
            std::vector<float> out(expected.size());
            for (std::uint32_t first = 0; first < kPanels; first += share) {
                LinearTask task = problem.task(18, scratch.bytes);
                task.output = out.data();
                task.first_panel = first;
                task.last_panel = std::min(first + share, kPanels);
                task.min_tile_columns = 1;
                run_with_tiles(isa, task, kNoVectors);
            }
            ASSERT_TRUE(same_bits(out.data(), expected.data(), out.size())) << to_string(isa) << ", " << share << " panels at a time";
        }
    }
}

// Tokens grouped by expert: inputs and outputs are picked by lists, also where some of the columns are left to vectors, and nothing else is
// written.
TEST_P(TiledLinear, ReadsAndWritesTheListedRowsOnly) {
    constexpr std::uint32_t kRows = 21;
    constexpr std::size_t kStride = kRows + 3;
    constexpr std::uint32_t kColumns = 19;
    constexpr std::uint32_t kOutputRows = 24;
    const LinearProblem problem(GetParam(), kRows, widths()[1], 9, random_);
    const std::vector<float> expected = one_by_one(problem);
    std::uint32_t in[kColumns];
    std::uint32_t out_rows[kColumns];
    for (std::uint32_t c = 0; c < kColumns; ++c) {
        in[c] = c * 5 % 9;
        out_rows[c] = c * 7 % 23;
    }
    for (const Isa isa : tests::isas_under_test(available_isas())) {
        for (const std::uint32_t min_tile_columns : {1U, 4U}) {
            static LinearScratch scratch;
            std::vector<float> out(kOutputRows * kStride, 77.0F);
            LinearTask task = problem.task(kColumns, scratch.bytes);
            task.input_rows = in;
            task.output_rows = out_rows;
            task.output = out.data();
            task.output_stride = kStride;
            task.min_tile_columns = min_tile_columns;
            run_with_tiles(isa, task, min_tile_columns == 1 ? kNoVectors : linear_kernels(Isa::kScalar));
            for (std::uint32_t c = 0; c < kColumns; ++c) {
                float* found = out.data() + out_rows[c] * kStride;
                ASSERT_TRUE(same_bits(found, expected.data() + std::size_t{in[c]} * kRows, kRows)) << to_string(isa) << ", column " << c;
                std::fill(found, found + kRows, 77.0F);
            }
            ASSERT_EQ(out, std::vector<float>(kOutputRows * kStride, 77.0F)) << to_string(isa) << ": wrote where it should not";
        }
    }
}

// Subnormal scales, the largest ones, and inputs of every magnitude.
TEST_P(TiledLinear, GivesTheSameBitsAtExtremeScales) {
    for (const tests::ScaleRange range : {tests::ScaleRange{-24, -15}, tests::ScaleRange{-24, 8}, tests::ScaleRange{14, 15}}) {
        for (const int exponent : {-79, -60, 30}) {
            LinearProblem problem(GetParam(), 18, widths()[0], 5, random_, range);
            for (float& x : problem.values()) x = std::ldexp(x, exponent);
            problem.encode_inputs();
            const std::vector<float> expected = one_by_one(problem);
            for (const Isa isa : tests::isas_under_test(available_isas())) {
                const std::vector<float> found = results(isa, problem, 5);
                ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size())) << to_string(isa);
            }
        }
    }
}

TEST_P(TiledLinear, SumsOfTheLargestProductsAreExact) {
    for (const float sign : {1.0F, -1.0F}) {
        LinearProblem problem(GetParam(), 256, widths()[0], 3, random_);
        for (float& x : problem.values()) x = sign;
        problem.encode_inputs();
        const std::vector<float> expected = one_by_one(problem);
        for (const Isa isa : tests::isas_under_test(available_isas())) {
            const std::vector<float> found = results(isa, problem, 3);
            ASSERT_TRUE(same_bits(found.data(), expected.data(), found.size())) << to_string(isa);
        }
    }
}

TEST_P(TiledLinear, LeaveFewColumnsToVectors) {
    static std::uint32_t n_left;  // NOLINT: a kernel is a plain function
    constexpr LinearKernels kCounting = {.run = [](const LinearTask& task) { n_left += task.n_columns; }, .quantize = nullptr};
    const LinearProblem problem(GetParam(), 3, widths()[0], 40, random_);
    const auto left = [&](std::uint32_t n_columns, std::uint32_t min_tile_columns) {
        static LinearScratch scratch;
        std::vector<float> out(std::size_t{n_columns} * 3);
        LinearTask task = problem.task(n_columns, scratch.bytes);
        task.output = out.data();
        task.min_tile_columns = min_tile_columns;
        n_left = 0;
        tests::tiled_scalar(task, kCounting);
        return n_left;
    };
    EXPECT_EQ(left(1, 1), 0U);
    EXPECT_EQ(left(1, 0), 0U);
    EXPECT_EQ(left(11, 12), 11U);
    EXPECT_EQ(left(12, 12), 0U);
    EXPECT_EQ(left(27, 12), 11U);
    EXPECT_EQ(left(28, 12), 0U);
    EXPECT_EQ(left(15, kMinTileColumns), 15U);
    EXPECT_EQ(left(16, kMinTileColumns), 0U);
    EXPECT_EQ(left(31, kMinTileColumns), 15U);
    EXPECT_EQ(left(32, kMinTileColumns), 0U);
    EXPECT_EQ(left(33, 33), 1U);   // two whole tiles
    EXPECT_EQ(left(33, 34), 33U);  // tiles from 34 columns on only
}

INSTANTIATE_TEST_SUITE_P(Kernels, TiledLinear, testing::ValuesIn(tiled_cases()), tests::linear_case_name);

// Float inputs, scales of 16 elements, plain numbers.
TEST(TiledLinearOthers, AreLeftToVectors) {
    std::mt19937 random(32);
    for (const LinearCase c : tests::linear_cases()) {
        const bool is_tiled = std::ranges::find(kTiledFormats, c.dtype) != std::end(kTiledFormats) && c.encoding != Encoding::kF32;
        EXPECT_EQ(has_tile_kernel(c.dtype, c.encoding), is_tiled) << tests::linear_case_name({c, 0});
        static std::uint32_t n_left;  // NOLINT: a kernel is a plain function
        n_left = 0;
        constexpr LinearKernels kCounting = {.run = [](const LinearTask& task) { n_left += task.n_columns; }, .quantize = nullptr};
        const LinearProblem problem(c, 3, 256, 16, random);
        static LinearScratch scratch;
        std::vector<float> out(16 * std::size_t{3});
        LinearTask task = problem.task(16, scratch.bytes);
        task.output = out.data();
        tests::tiled_scalar(task, kCounting);
        EXPECT_EQ(n_left, is_tiled ? 0U : 16U) << tests::linear_case_name({c, 0});
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
