// Matrix times activations, the op that nearly all weights are read by: out[column][row] = sum over k of weight[row][k] * input[column][k].
// One set of kernels an instruction set; every format; any number of columns (tokens).
//
// Each (row, column) is one fixed sequence of float operations along k, whatever the number of columns, the panels a thread got or the
// instruction set: results are bit-equal among all of them.
//   quantised inputs: per block of 32 (or 16, as the format's scales go), in order of k: acc = fma(float(integer sum), scale * input scale,
//     acc); then, where the format has minimums, acc = fma(min, -(input scale * sum of inputs), acc). Integer sums are exact.
//   float inputs: fma in order of k within 256, from zero; the sums of 256 added in order. Quantised weights enter as decode() gives them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/isa.h"
#include "backend/cpu/packed_matrix.h"
#include "model/program.h"

namespace rafter::backend::cpu {

inline constexpr std::uint32_t kTileColumns = 16;               // that a tile has at most; kAmx only
inline constexpr std::uint32_t kMinTileColumns = kTileColumns;  // for tiles, where nothing was measured; results do not depend on it

// A thread's share: rows of panels [first_panel, last_panel), all columns. Only pointers and numbers; nothing is kept.
struct LinearTask {
    PackedMatrix weights;
    model::Encoding encoding = model::Encoding::kF32;  // of the input: floats, or model::QuantizedBlocks
    const std::byte* input = nullptr;                  // rows of weights.n_cols elements, each 4-byte aligned
    std::size_t input_stride_bytes = 0;
    float* output = nullptr;  // column c's results at output + c * output_stride + row, for rows below weights.n_rows
    std::size_t output_stride = 0;
    std::uint32_t n_columns = 0;
    // For experts: column c reads input row input_rows[c] and writes output row output_rows[c]. Null: row c.
    const std::uint32_t* input_rows = nullptr;   // [n_columns]
    const std::uint32_t* output_rows = nullptr;  // [n_columns], all different
    std::uint32_t first_panel = 0;
    std::uint32_t last_panel = 0;
    WeightFetch fetch = WeightFetch::kPaced;
    std::uint32_t min_tile_columns = kMinTileColumns;  // a tile of fewer columns is left to vectors
    std::byte* scratch = nullptr;                      // kLinearScratchBytes of the thread's own, 64-byte aligned
};

constexpr std::size_t kLinearScratchBytes = std::size_t{192} * 1024;

struct LinearKernels {
    // Quantised inputs need weights of a quantised format: F32, F16 and BF16 take floats only.
    void (*run)(const LinearTask& task);
    // Writes n floats, a multiple of 32, as model::QuantizedBlocks at `row` (4-byte aligned). Each block of 32 has the scale
    // max|x| / 127 (kQ8) or / 16256 (kQ16) and integers rounded to nearest, ties to even. A block whose largest magnitude is below 2^-80
    // becomes zeros; one with an infinity or NaN gets scale NaN, so that what is computed from it shows it.
    void (*quantize)(const float* values, std::size_t n, model::Encoding encoding, std::byte* row);
};

// Whether kAmx multiplies these by tiles, from LinearTask::min_tile_columns columns on: quantised, with a scale for each 32 elements.
[[nodiscard]] bool has_tile_kernel(tensor::DType weights, model::Encoding input);

// Of an available instruction set.
[[nodiscard]] const LinearKernels& linear_kernels(Isa isa);

}  // namespace rafter::backend::cpu
