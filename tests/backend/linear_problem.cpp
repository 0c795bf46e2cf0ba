// The problem's numbers, and the bound that follows from the kernels' sequence of roundings.
#include "tests/backend/linear_problem.h"

#include <cmath>

#include "model/workspace.h"
#include "tensor/formats/formats.h"

namespace rafter::tests {

using backend::cpu::Isa;
using backend::cpu::linear_kernels;
using backend::cpu::LinearTask;
using model::Encoding;
using tensor::DType;

std::vector<LinearCase> linear_cases() {
    std::vector<LinearCase> all;
    for (const DType dtype : matrix_formats()) {
        all.push_back({dtype, Encoding::kF32});
        if (tensor::format_of(dtype).block_elements == 1) continue;
        all.push_back({dtype, Encoding::kQ8});
        all.push_back({dtype, Encoding::kQ16});
    }
    return all;
}

std::string linear_case_name(const testing::TestParamInfo<LinearCase>& info) {
    const char* encoding[] = {"F32", "Q8", "Q16"};
    return std::string(tensor::format_of(info.param.dtype).name) + "_times_" + encoding[static_cast<int>(info.param.encoding)];
}

LinearProblem::LinearProblem(LinearCase c, std::uint32_t n_rows, std::uint32_t n_cols, std::uint32_t n_inputs, std::mt19937& random,
                             ScaleRange range)
    : case_(c), n_rows_(n_rows), n_cols_(n_cols), n_inputs_(n_inputs) {
    blocks_ = random_blocks(c.dtype, n_rows, n_cols, random, range);
    packed_.resize(backend::cpu::packed_bytes(c.dtype, n_rows, n_cols) + 64);
    std::byte* data = packed_.data() + (64 - reinterpret_cast<std::uintptr_t>(packed_.data()) % 64) % 64;
    matrix_ = backend::cpu::packed_matrix(c.dtype, n_rows, n_cols, data);
    backend::cpu::pack_panels(matrix_, blocks_.data(), 0, matrix_.n_panels, data);
    std::normal_distribution<float> normal;
    values_.resize(std::size_t{n_inputs} * n_cols);
    for (float& x : values_) x = normal(random);
    encode_inputs();
}

LinearTask LinearProblem::task(std::uint32_t n_columns, std::byte* scratch) const {
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
std::vector<double> LinearProblem::exact_input(std::uint32_t input) const {
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
double LinearProblem::n_roundings() const {
    if (case_.encoding == Encoding::kF32) return 256.0 + n_cols_ / 256.0 + 1 + 2;
    return 2.0 * n_cols_ / 16 + 3;
}

void LinearProblem::expect_near_exact(std::uint32_t row, std::uint32_t input, float found) const {
    const std::byte* blocks = blocks_.data() + row * tensor::format_of(case_.dtype).row_bytes(n_cols_);
    const ExactRow weights = exact_row(case_.dtype, blocks, n_cols_);
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

void LinearProblem::encode_inputs() {
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

std::vector<float> one_by_one(const LinearProblem& problem) {
    static LinearScratch scratch;
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

}  // namespace rafter::tests
