// Rows of weights into blocks of any format: which search is whose. Included after a vec header.
#pragma once

#include "backend/cpu/encode/encode.h"
#include "backend/cpu/encode/super_blocks.h"

namespace rafter::backend::cpu {
namespace {

// Calls encode(blocks, n, to) for groups of as many neighbouring blocks as there are lanes; a format's block has kLaneBlocks of them.
template <typename Format, int kLaneBlocks, typename Encode>
void encode_in_lanes(const WeightRows& rows, std::byte* out, const Encode& encode) {
    constexpr int kBlocksAtOnce = kLanes / kLaneBlocks;
    const std::size_t n_blocks = rows.n_rows * (rows.n_cols / Format::kBlockElements);
    LaneBlocks<Format::kBlockElements / kLaneBlocks> blocks;
    typename Format::Block encoded[kBlocksAtOnce];
    for (std::size_t first = 0; first < n_blocks; first += kBlocksAtOnce) {
        const int n = n_blocks - first < kBlocksAtOnce ? static_cast<int>(n_blocks - first) : kBlocksAtOnce;
        blocks.take(rows, first * kLaneBlocks, n * kLaneBlocks);
        encode(blocks, n, encoded);
        __builtin_memcpy(out + first * sizeof encoded[0], encoded, static_cast<std::size_t>(n) * sizeof encoded[0]);
    }
}

template <typename Format>
void encode_rounded(const WeightRows& rows, std::byte* out) {
    for (std::size_t i = 0; i < rows.n_rows * rows.n_cols; ++i) {
        typename Format::Block block;
        Format::encode(rows.values + i, block);
        __builtin_memcpy(out + i * sizeof block, &block, sizeof block);
    }
}

template <typename Format>
void encode_scaled(const WeightRows& rows, std::byte* out) {
    if (rows.importance == nullptr) {
        encode_in_lanes<Format, 1>(rows, out, encode_scaled_lanes<Format, true>);
    } else {
        encode_in_lanes<Format, 1>(rows, out, encode_scaled_lanes<Format, false>);
    }
}
template <typename Format, int kHighest>
void encode_affine(const WeightRows& rows, std::byte* out) {
    if (rows.importance == nullptr) {
        encode_in_lanes<Format, 1>(rows, out, encode_affine_lanes<Format, kHighest, true>);
    } else {
        encode_in_lanes<Format, 1>(rows, out, encode_affine_lanes<Format, kHighest, false>);
    }
}
template <typename Format>
void encode_super_scaled(const WeightRows& rows, std::byte* out) {
    constexpr int kSubBlocks = Format::kBlockElements / Format::kSubBlock;
    if (rows.importance == nullptr) {
        encode_in_lanes<Format, kSubBlocks>(rows, out, encode_super_scaled_lanes<Format, kSubBlocks, true>);
    } else {
        encode_in_lanes<Format, kSubBlocks>(rows, out, encode_super_scaled_lanes<Format, kSubBlocks, false>);
    }
}
template <typename Format>
void encode_super_affine(const WeightRows& rows, std::byte* out) {
    constexpr int kSubBlocks = Format::kBlockElements / Format::kSubBlock;
    if (rows.importance == nullptr) {
        encode_in_lanes<Format, kSubBlocks>(rows, out, encode_super_affine_lanes<Format, kSubBlocks, true>);
    } else {
        encode_in_lanes<Format, kSubBlocks>(rows, out, encode_super_affine_lanes<Format, kSubBlocks, false>);
    }
}

void encode_rows(tensor::DType to, const WeightRows& rows, std::byte* out) {
    using tensor::DType;
    switch (to) {
        case DType::kF32:
            return encode_rounded<tensor::F32>(rows, out);
        case DType::kF16:
            return encode_rounded<tensor::F16>(rows, out);
        case DType::kBF16:
            return encode_rounded<tensor::BF16>(rows, out);
        case DType::kQ4_0:
            return encode_scaled<tensor::Q4_0>(rows, out);
        case DType::kQ4_1:
            return encode_affine<tensor::Q4_1, 15>(rows, out);
        case DType::kQ5_0:
            return encode_scaled<tensor::Q5_0>(rows, out);
        case DType::kQ5_1:
            return encode_affine<tensor::Q5_1, 31>(rows, out);
        case DType::kQ8_0:
            return encode_scaled<tensor::Q8_0>(rows, out);
        case DType::kQ2_K:
            return encode_super_affine<tensor::Q2_K>(rows, out);
        case DType::kQ3_K:
            return encode_super_scaled<tensor::Q3_K>(rows, out);
        case DType::kQ4_K:
            return encode_super_affine<tensor::Q4_K>(rows, out);
        case DType::kQ5_K:
            return encode_super_affine<tensor::Q5_K>(rows, out);
        case DType::kQ6_K:
            return encode_super_scaled<tensor::Q6_K>(rows, out);
        case DType::kIQ4_NL:
            return encode_scaled<tensor::IQ4_NL>(rows, out);
        case DType::kIQ4_XS:
            return encode_super_scaled<tensor::IQ4_XS>(rows, out);
        case DType::kMXFP4:
            return encode_in_lanes<tensor::MXFP4, 1>(rows, out, encode_power_lanes<tensor::MXFP4>);
        case DType::kI32:
            return;
    }
}

void decode_numbers(tensor::DType from, const std::byte* numbers, float* values, std::size_t n) {
    const bool is_brain = from == tensor::DType::kBF16;
    for (std::size_t i = 0; i < n; i += kLanes) {
        const std::size_t n_here = n - i < kLanes ? n - i : kLanes;
        alignas(64) std::uint16_t halves[kLanes] = {};
        if (n_here == kLanes) {
            __builtin_memcpy(halves, numbers + i * sizeof halves[0], sizeof halves);
        } else {
            __builtin_memcpy(halves, numbers + i * sizeof halves[0], n_here * sizeof halves[0]);
        }
        const F32x16 x = is_brain ? load_bf16(halves) : load_f16(halves);
        if (n_here == kLanes) {
            store(values + i, x);
        } else {
            store_partial(values + i, x, static_cast<int>(n_here));
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
