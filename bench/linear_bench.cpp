// The linear kernels: one and a few columns, and many.
//   gemv/avx2/Q4_K/q8/1: weights of 64 MiB and more, so that they come from memory.   gemm/...: [1024, 2048], which stays in cache.
// Of q16 each product is two of bytes but counts once, so its roof in arithmetic is a half.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/linear.h"
#include "base/os_memory.h"
#include "model/workspace.h"
#include "roofs.h"
#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {
namespace {

using model::Encoding;
using tensor::DType;

struct Setup {
    DType dtype;
    Encoding encoding;
    std::uint32_t n_rows, n_cols, n_columns;
};

// A packed matrix of small random blocks: the same 16 rows over and over, which costs the kernels what any would.
class Matrix {
  public:
    Matrix(DType dtype, std::uint32_t n_rows, std::uint32_t n_cols)
        : buffer_(PageBuffer::allocate(packed_bytes(dtype, n_rows, n_cols), "weights").value()) {
        matrix_ = packed_matrix(dtype, n_rows, n_cols, buffer_.data());
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<float> values(std::size_t{16} * n_cols);
        for (float& x : values) x = normal(random);
        const tensor::FormatInfo& format = tensor::format_of(dtype);
        std::vector<std::byte> rows(16 * format.row_bytes(n_cols));
        format.encode(values.data(), rows.data(), values.size());
        pack_panels(packed_matrix(dtype, 16, n_cols, nullptr), rows.data(), 0, 1, buffer_.data());
        for (std::uint32_t p = 1; p < matrix_.n_panels; ++p) {
            std::memcpy(buffer_.data() + p * matrix_.panel_bytes, buffer_.data(), matrix_.panel_bytes);
        }
    }
    [[nodiscard]] const PackedMatrix& packed() const { return matrix_; }
    [[nodiscard]] std::size_t size_bytes() const { return matrix_.n_panels * matrix_.panel_bytes; }

  private:
    PageBuffer buffer_;
    PackedMatrix matrix_;
};

void linear(benchmark::State& state, Isa isa, const Setup& setup) {
    const Matrix matrix(setup.dtype, setup.n_rows, setup.n_cols);
    const std::size_t stride = model::row_bytes({.name = "", .width = setup.n_cols, .encoding = setup.encoding});
    const PageBuffer memory = PageBuffer::allocate(stride * setup.n_columns + kLinearScratchBytes, "inputs").value();
    std::vector<float> x(setup.n_cols);
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    for (std::uint32_t c = 0; c < setup.n_columns; ++c) {
        for (float& value : x) value = normal(random);
        std::byte* row = memory.data() + kLinearScratchBytes + c * stride;
        if (setup.encoding == Encoding::kF32) {
            std::memcpy(row, x.data(), x.size() * sizeof(float));
        } else {
            linear_kernels(isa).quantize(x.data(), x.size(), setup.encoding, row);
        }
    }
    std::vector<float> out(std::size_t{setup.n_rows} * setup.n_columns);
    LinearTask task;
    task.weights = matrix.packed();
    task.encoding = setup.encoding;
    task.input = memory.data() + kLinearScratchBytes;
    task.input_stride_bytes = stride;
    task.output = out.data();
    task.output_stride = setup.n_rows;
    task.n_columns = setup.n_columns;
    task.last_panel = matrix.packed().n_panels;
    task.fetch = best_weight_fetch();
    task.scratch = memory.data();
    const bench::CallCost cost{.read_bytes = static_cast<double>(matrix.size_bytes() + stride * setup.n_columns),
                               .ops = 2.0 * setup.n_rows * setup.n_cols * setup.n_columns,
                               .unit = setup.encoding == Encoding::kF32 ? bench::Unit::kFloat : bench::Unit::kInt8};
    bench::measure(state, isa, cost, [&] { linear_kernels(isa).run(task); });
}

void pack(benchmark::State& state, DType dtype) {
    const PackedMatrix shape = packed_matrix(dtype, 1024, 4096, nullptr);
    const std::vector<std::byte> rows(shape.n_panels * shape.panel_bytes, std::byte{1});
    std::vector<std::byte> packed(rows.size());
    bench::measure(state, best_isa(), {.read_bytes = static_cast<double>(rows.size())},
                   [&] { pack_panels(shape, rows.data(), 0, shape.n_panels, packed.data()); });
}

const int kRegistered = [] {
    const std::string names[] = {"f32", "q8", "q16"};
    for (const Isa isa : available_isas()) {
        const std::string isa_name(to_string(isa));
        for (const tensor::FormatInfo& format : tensor::formats()) {
            if (format.dtype == DType::kI32 || format.encode == nullptr) continue;
            for (const Encoding encoding : {Encoding::kF32, Encoding::kQ8, Encoding::kQ16}) {
                if (format.block_elements == 1 && encoding != Encoding::kF32) continue;
                const std::string tail = isa_name + "/" + std::string(format.name) + "/" + names[static_cast<int>(encoding)] + "/";
                const auto rows = static_cast<std::uint32_t>(((std::size_t{72} << 20U) / format.row_bytes(2048) + 15) / 16 * 16);
                const auto add = [&](const std::string& name, Setup setup) {
                    benchmark::RegisterBenchmark((name + tail + std::to_string(setup.n_columns)).c_str(),
                                                 [=](benchmark::State& s) { linear(s, isa, setup); });
                };
                for (const std::uint32_t n : {1U, 2U, 4U, 8U}) add("gemv/", {format.dtype, encoding, rows, 2048, n});
                for (const std::uint32_t n : {1U, 2U, 3U, 4U, 8U, 16U, 64U, 256U, 512U})
                    add("gemm/", {format.dtype, encoding, 1024, 2048, n});
            }
        }
    }
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.dtype == DType::kI32) continue;
        benchmark::RegisterBenchmark(("pack/" + std::string(format.name)).c_str(),
                                     [dtype = format.dtype](benchmark::State& s) { pack(s, dtype); });
    }
    return 0;
}();

}  // namespace
}  // namespace rafter::backend::cpu
