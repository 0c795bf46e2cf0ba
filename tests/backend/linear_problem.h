// A matrix in any format and inputs for it, for tests of the linear kernels: what the kernels are given, and what it means exactly.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/linear.h"
#include "tests/backend/weights_for_tests.h"

namespace rafter::tests {

struct LinearCase {
    tensor::DType dtype;
    model::Encoding encoding;
};
[[nodiscard]] std::vector<LinearCase> linear_cases();  // every format with all the encodings that it is multiplied with
[[nodiscard]] std::string linear_case_name(const testing::TestParamInfo<LinearCase>& info);

class LinearProblem {
  public:
    LinearProblem(LinearCase c, std::uint32_t n_rows, std::uint32_t n_cols, std::uint32_t n_inputs, std::mt19937& random,
                  ScaleRange range = {});

    [[nodiscard]] const backend::cpu::PackedMatrix& matrix() const { return matrix_; }
    [[nodiscard]] std::uint32_t n_inputs() const { return n_inputs_; }

    // Without an output.
    [[nodiscard]] backend::cpu::LinearTask task(std::uint32_t n_columns, std::byte* scratch) const;

    // Of a result of row and input: not further from the exact one than its roundings allow.
    void expect_near_exact(std::uint32_t row, std::uint32_t input, float found) const;

    // Of the inputs, [n_inputs][n_cols]; encode_inputs() after a change.
    [[nodiscard]] std::vector<float>& values() { return values_; }
    void encode_inputs();

  private:
    [[nodiscard]] std::vector<double> exact_input(std::uint32_t input) const;
    [[nodiscard]] double n_roundings() const;

    LinearCase case_;
    std::uint32_t n_rows_, n_cols_, n_inputs_;
    std::vector<std::byte> blocks_, packed_, inputs_;
    std::vector<float> values_;
    std::size_t stride_ = 0;
    backend::cpu::PackedMatrix matrix_;
};

struct alignas(64) LinearScratch {
    std::byte bytes[backend::cpu::kLinearScratchBytes];
};

inline bool same_bits(const float* a, const float* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

// Each input by itself, on scalar: [n_inputs][n_rows].
[[nodiscard]] std::vector<float> one_by_one(const LinearProblem& problem);

}  // namespace rafter::tests
