// Random weights and their exact meaning.
#include "tests/backend/weights_for_tests.h"

#include <cmath>
#include <cstring>

#include "tensor/formats/formats.h"
#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/iq4_xs.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q2_k.h"
#include "tensor/formats/q3_k.h"
#include "tensor/formats/q4_0.h"
#include "tensor/formats/q4_1.h"
#include "tensor/formats/q4_k.h"
#include "tensor/formats/q5_0.h"
#include "tensor/formats/q5_1.h"
#include "tensor/formats/q5_k.h"
#include "tensor/formats/q6_k.h"
#include "tensor/formats/q8_0.h"

namespace rafter::tests {
namespace {

using tensor::DType;

// Byte offsets of a block's f16 fields.
std::vector<std::size_t> f16_fields(DType dtype) {
    switch (dtype) {
        case DType::kQ4_0:
        case DType::kQ5_0:
        case DType::kQ8_0:
        case DType::kIQ4_NL:
        case DType::kIQ4_XS:
            return {0};
        case DType::kQ4_1:
        case DType::kQ5_1:
        case DType::kQ4_K:
        case DType::kQ5_K:
            return {0, 2};
        case DType::kQ2_K:
            return {80, 82};
        case DType::kQ3_K:
            return {108};
        case DType::kQ6_K:
            return {208};
        default:
            return {};
    }
}

float random_scale(std::mt19937& random, ScaleRange range) {
    const int exponent = std::uniform_int_distribution<int>(range.lowest, range.highest)(random);
    const float mantissa = 1 + static_cast<float>(random() % 1024) / 1024;
    return std::ldexp(random() % 2 == 0 ? mantissa : -mantissa, exponent);
}

template <typename Format>
bool exact_blocks(DType dtype, const std::byte* blocks, ExactRow& row) {
    if (dtype != Format::kDType) return false;
    const std::size_t n = row.value.size();
    for (std::size_t k = 0; k < n; k += Format::kBlockElements, blocks += sizeof(typename Format::Block)) {
        typename Format::Block block;
        std::memcpy(&block, blocks, sizeof block);
        std::int8_t q[Format::kBlockElements];
        float scale[16];
        float min[16] = {};
        Format::unpack(block, q, scale, min);
        for (std::size_t e = 0; e < Format::kBlockElements; ++e) {
            const std::size_t s = e / Format::kSubBlock;
            const double product = static_cast<double>(scale[s]) * q[e];
            const double taken = Format::kHasMin ? min[s] : 0;
            row.value[k + e] = product - taken;
            row.magnitude[k + e] = std::fabs(product) + std::fabs(taken);
        }
    }
    return true;
}

template <typename... Formats>
bool exact_blocks_of(DType dtype, const std::byte* blocks, ExactRow& row) {
    return (exact_blocks<Formats>(dtype, blocks, row) || ...);
}

}  // namespace

std::vector<std::byte> random_blocks(DType dtype, std::size_t n_rows, std::size_t n_elements, std::mt19937& random, ScaleRange range) {
    const tensor::FormatInfo& format = tensor::format_of(dtype);
    std::vector<std::byte> bytes(n_rows * format.row_bytes(n_elements));
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    for (std::size_t at = 0; at < bytes.size(); at += format.block_bytes) {
        for (const std::size_t field : f16_fields(dtype)) {
            const std::uint16_t scale = tensor::f32_to_f16(random_scale(random, range));
            std::memcpy(&bytes[at + field], &scale, sizeof scale);
        }
        const float value = random_scale(random, range);
        const std::uint16_t half = dtype == DType::kF16 ? tensor::f32_to_f16(value) : tensor::f32_to_bf16(value);
        if (dtype == DType::kMXFP4) bytes[at] = static_cast<std::byte>(std::ilogb(value) + 128);
        if (dtype == DType::kF32) std::memcpy(&bytes[at], &value, sizeof value);
        if (dtype == DType::kF16 || dtype == DType::kBF16) std::memcpy(&bytes[at], &half, sizeof half);
    }
    return bytes;
}

ExactRow exact_row(DType dtype, const std::byte* blocks, std::size_t n_elements) {
    using namespace tensor;  // NOLINT(google-build-using-namespace): the list below is all formats
    ExactRow row{std::vector<double>(n_elements), std::vector<double>(n_elements)};
    if (exact_blocks_of<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4>(dtype, blocks, row)) return row;
    std::vector<float> values(n_elements);
    format_of(dtype).decode(blocks, values.data(), n_elements);
    for (std::size_t k = 0; k < n_elements; ++k) {
        row.value[k] = values[k];
        row.magnitude[k] = std::fabs(values[k]);
    }
    return row;
}

std::vector<DType> matrix_formats() {
    std::vector<DType> found{DType::kF32, DType::kF16, DType::kBF16};
    for (const DType dtype : quantized_formats()) found.push_back(dtype);
    return found;
}

// From the list of formats, so that a new one is tested without a word here.
std::vector<DType> quantized_formats() {
    std::vector<DType> found;
    for (const tensor::FormatInfo& format : tensor::formats()) {
        if (format.block_elements > 1) found.push_back(format.dtype);
    }
    return found;
}

}  // namespace rafter::tests
