// Making rows: copies, strided gathers, and decoding of FP8 and MXFP4.
#include "model/hf/checkpoint_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/formats/formats.h"
#include "tensor/half.h"

namespace rafter::model::hf {
namespace {

// E4M3 without infinities (https://arxiv.org/abs/2209.05433): bias 7, 0x7f is NaN.
float e4m3(std::uint8_t bits) {
    const int exponent = bits >> 3 & 15;
    const int mantissa = bits & 7;
    float value =
        exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9) : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    if (exponent == 15 && mantissa == 7) value = std::numeric_limits<float>::quiet_NaN();
    return (bits & 0x80) != 0 ? -value : value;
}

struct Fp8Table {
    float values[256];
    Fp8Table() {
        for (int i = 0; i < 256; ++i) values[i] = e4m3(static_cast<std::uint8_t>(i));
    }
};

// A few columns at a time, so that nothing is allocated: a whole number of blocks of any type.
void fp8_row(const RowRecipe& recipe, const StoredPart& part, std::uint64_t row, const tensor::FormatInfo& format, std::byte* out) {
    static const Fp8Table kTable;
    constexpr std::uint64_t kColumns = 512;
    std::array<float, kColumns> values;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(part.data.data()) + recipe.first_element + row * recipe.row_stride;
    const float* const scales = part.fp8_scales.data() + row / part.scale_block_rows * part.n_scale_cols;
    for (std::uint64_t first = 0; first < recipe.n_cols; first += kColumns) {
        const std::uint64_t n = std::min(kColumns, recipe.n_cols - first);
        for (std::uint64_t i = 0; i < n; ++i) {
            values[i] = kTable.values[bytes[first + i]] * scales[(first + i) / part.scale_block_cols];
        }
        format.encode(values.data(), out + format.row_bytes(first), n);
    }
}

// The checkpoint's byte has elements 2j and 2j + 1; GGUF's has j and j + 16.
void mxfp4_row(const RowRecipe& recipe, const StoredPart& part, std::uint64_t row, std::byte* out) {
    const std::uint64_t first = recipe.first_element + row * recipe.row_stride;
    for (std::uint64_t block = 0; block < recipe.n_cols / 32; ++block) {
        const std::uint64_t at = first / 32 + block;
        const auto* const in = reinterpret_cast<const std::uint8_t*>(part.data.data()) + at * 16;
        auto* const to = reinterpret_cast<std::uint8_t*>(out) + block * 17;
        const auto element = [&](int i) { return static_cast<std::uint8_t>(in[i / 2] >> (i % 2 * 4) & 15); };
        to[0] = static_cast<std::uint8_t>(part.scales[at]);
        for (int j = 0; j < 16; ++j) to[1 + j] = static_cast<std::uint8_t>(element(j) | element(j + 16) << 4);
    }
}

void number_row(const RowRecipe& recipe, const StoredPart& part, std::uint64_t row, std::byte* out) {
    const std::uint64_t first = recipe.first_element + row * recipe.row_stride;
    const std::size_t size = tensor::format_of(recipe.stored_type).block_bytes;
    if (recipe.dtype == recipe.stored_type && recipe.add == 0) {
        const std::byte* const from = part.data.data() + first * size;
        if (recipe.column_stride == 1) {
            std::memcpy(out, from, recipe.n_cols * size);
        } else {
            for (std::uint64_t c = 0; c < recipe.n_cols; ++c) std::memcpy(out + c * size, from + c * recipe.column_stride * size, size);
        }
        return;
    }
    for (std::uint64_t c = 0; c < recipe.n_cols; ++c) {  // to F32
        const float value = float_at(recipe.stored_type, part.data.data(), first + c * recipe.column_stride) + recipe.add;
        std::memcpy(out + c * sizeof value, &value, sizeof value);
    }
}

}  // namespace

float float_at(tensor::DType dtype, const std::byte* data, std::uint64_t index) {
    if (dtype == tensor::DType::kF32) {
        float value = 0;
        std::memcpy(&value, data + index * 4, 4);
        return value;
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, data + index * 2, 2);
    return dtype == tensor::DType::kF16 ? tensor::f16_to_f32(bits) : tensor::bf16_to_f32(bits);
}

bool RowRecipe::is_plain() const {
    return stored == Stored::kNumbers && parts.size() == 1 && dtype == stored_type && add == 0 && rotated_head_dim == 0 &&
           column_stride == 1 && row_stride == n_cols;
}

std::uint64_t RowRecipe::order(std::uint64_t row) const {
    if (rotated_head_dim == 0) return row;
    const std::uint64_t within = row % rotated_head_dim;
    return row - within + within % 2 * (rotated_head_dim / 2) + within / 2;
}

void make_rows(const RowRecipe& recipe, std::uint64_t first, std::uint64_t n, std::span<std::byte> out) {
    const tensor::FormatInfo& format = tensor::format_of(recipe.dtype);
    const std::size_t row_bytes = format.row_bytes(recipe.n_cols);
    for (std::uint64_t i = 0; i < n; ++i) {
        const StoredPart& part = recipe.parts[(first + i) / recipe.rows_per_part];
        const std::uint64_t row = recipe.order((first + i) % recipe.rows_per_part);
        std::byte* const to = out.data() + i * row_bytes;
        if (recipe.stored == Stored::kMxfp4) {
            mxfp4_row(recipe, part, row, to);
        } else if (recipe.stored == Stored::kFp8) {
            fp8_row(recipe, part, row, format, to);
        } else {
            number_row(recipe, part, row, to);
        }
    }
}

}  // namespace rafter::model::hf
