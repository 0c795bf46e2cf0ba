// In pieces that stay in the first-level cache as floats.
#include "engine/convert/convert_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "backend/encoding.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

using tensor::DType;
using tensor::FormatInfo;

constexpr std::size_t kPieceElements = 4096;  // whole blocks of every format: they have 1, 32 or 256 elements

template <typename Bits>
Bits magnitude(std::span<const std::byte> numbers, std::size_t i) {
    Bits bits = 0;
    std::memcpy(&bits, numbers.data() + i * sizeof(Bits), sizeof(Bits));
    return static_cast<Bits>(bits & static_cast<Bits>(~Bits{0}) >> 1U);
}

// The bits of floating-point numbers, without the sign, are in the order of the numbers. No branch: as fast as memory. Compared as signed
// integers, for which every machine has an instruction.
template <typename Bits>
Bits largest_magnitude(std::span<const std::byte> numbers) {
    using Signed = std::make_signed_t<Bits>;
    Signed most = 0;
    for (std::size_t i = 0; i < numbers.size() / sizeof(Bits); ++i) most = std::max(most, static_cast<Signed>(magnitude<Bits>(numbers, i)));
    return static_cast<Bits>(most);
}

// All bits of the exponent are set in NaN and infinity only.
template <typename Bits>
std::optional<std::uint64_t> first_with_exponent(std::span<const std::byte> numbers, Bits exponent) {
    if (largest_magnitude<Bits>(numbers) < exponent) return std::nullopt;
    std::size_t i = 0;
    while (magnitude<Bits>(numbers, i) < exponent) ++i;
    return i;
}

constexpr std::uint32_t kF32Exponent = 0x7f800000U;

std::optional<std::uint64_t> first_decoded(const FormatInfo& format, std::span<const std::byte> rows) {
    std::array<float, kPieceElements> values;
    const std::size_t n_elements = rows.size() / format.block_bytes * format.block_elements;
    for (std::size_t first = 0; first < n_elements; first += kPieceElements) {
        const std::size_t n = std::min(kPieceElements, n_elements - first);
        backend::decode_weights(format.dtype, rows.data() + format.row_bytes(first), values.data(), n);
        const auto found = first_with_exponent(std::as_bytes(std::span(values).first(n)), kF32Exponent);
        if (found) return first + *found;
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> first_non_finite(DType dtype, std::span<const std::byte> rows) {
    switch (dtype) {
        case DType::kF32:
            return first_with_exponent(rows, kF32Exponent);
        case DType::kF16:
            return first_with_exponent(rows, std::uint16_t{0x7c00});
        case DType::kBF16:
            return first_with_exponent(rows, std::uint16_t{0x7f80});
        case DType::kI32:
            return std::nullopt;
        case DType::kQ4_0:
        case DType::kQ4_1:
        case DType::kQ5_0:
        case DType::kQ5_1:
        case DType::kQ8_0:
        case DType::kQ2_K:
        case DType::kQ3_K:
        case DType::kQ4_K:
        case DType::kQ5_K:
        case DType::kQ6_K:
        case DType::kIQ4_NL:
        case DType::kIQ4_XS:
        case DType::kMXFP4:
            break;
    }
    return first_decoded(tensor::format_of(dtype), rows);
}

float convert_rows(DType from, std::span<const std::byte> rows, DType to, std::span<std::byte> out) {
    const FormatInfo& source = tensor::format_of(from);
    const FormatInfo& target = tensor::format_of(to);
    std::array<float, kPieceElements> values;
    std::uint32_t most = 0;
    const std::size_t n_elements = rows.size() / source.block_bytes * source.block_elements;
    for (std::size_t first = 0; first < n_elements; first += kPieceElements) {
        const std::size_t n = std::min(kPieceElements, n_elements - first);
        backend::decode_weights(from, rows.data() + source.row_bytes(first), values.data(), n);
        most = std::max(most, largest_magnitude<std::uint32_t>(std::as_bytes(std::span(values).first(n))));
        target.encode(values.data(), out.data() + target.row_bytes(first), n);
    }
    return std::bit_cast<float>(std::min(most, kF32Exponent));
}

float quantize_rows(DType from, std::span<const std::byte> rows, DType to, std::span<std::byte> out, std::size_t n_cols,
                    std::span<const float> importance) {
    const FormatInfo& source = tensor::format_of(from);
    const FormatInfo& target = tensor::format_of(to);
    const std::size_t n_rows = rows.size() / source.row_bytes(n_cols);
    const std::size_t rows_per_piece = std::max<std::size_t>(1, kPieceElements / n_cols);
    std::vector<float> values(rows_per_piece * n_cols);
    std::uint32_t most = 0;
    for (std::size_t first = 0; first < n_rows; first += rows_per_piece) {
        const std::size_t n = std::min(rows_per_piece, n_rows - first);
        backend::decode_weights(from, rows.data() + first * source.row_bytes(n_cols), values.data(), n * n_cols);
        most = std::max(most, largest_magnitude<std::uint32_t>(std::as_bytes(std::span(values).first(n * n_cols))));
        backend::host_encoder()(
            to, {.values = values.data(), .importance = importance.empty() ? nullptr : importance.data(), .n_rows = n, .n_cols = n_cols},
            out.data() + first * target.row_bytes(n_cols));
    }
    return std::bit_cast<float>(std::min(most, kF32Exponent));
}

RefinedRows refine_rows(DType from, std::span<const std::byte> rows, DType to, std::span<std::byte> out, std::size_t n_cols,
                        std::span<const float> importance, const backend::FeedbackFactor& factor) {
    constexpr std::size_t kRows = 64;  // that are side by side anyway
    constexpr std::size_t kAlignment = 64;
    const FormatInfo& source = tensor::format_of(from);
    const FormatInfo& target = tensor::format_of(to);
    const std::size_t n_rows = rows.size() / source.row_bytes(n_cols);
    std::vector<float> values(std::min(kRows, n_rows) * n_cols);
    std::vector<std::byte> memory(backend::feedback_scratch_bytes(to, n_cols) + kAlignment);
    void* aligned = memory.data();
    std::size_t n_bytes = memory.size();
    std::align(kAlignment, memory.size() - kAlignment, aligned, n_bytes);
    RefinedRows refined;
    std::uint32_t most = 0;
    for (std::size_t first = 0; first < n_rows; first += kRows) {
        const std::size_t n = std::min(kRows, n_rows - first);
        backend::decode_weights(from, rows.data() + first * source.row_bytes(n_cols), values.data(), n * n_cols);
        most = std::max(most, largest_magnitude<std::uint32_t>(std::as_bytes(std::span(values).first(n * n_cols))));
        const backend::FeedbackErrors errors = backend::encode_with_feedback(
            to, {.values = values.data(), .importance = importance.empty() ? nullptr : importance.data(), .n_rows = n, .n_cols = n_cols},
            factor, {static_cast<std::byte*>(aligned), n_bytes}, out.data() + first * target.row_bytes(n_cols));
        refined.errors.plain += errors.plain;
        refined.errors.kept += errors.kept;
        refined.errors.n_plain += errors.n_plain;
    }
    refined.largest = std::bit_cast<float>(std::min(most, kF32Exponent));
    return refined;
}

}  // namespace rafter::engine
