// Rows of weights into blocks, with error feedback (backend/feedback.h): 64 rows at a time side by side in the lanes, group of columns
// after group of columns. Included after a vec header.
#pragma once

#include "backend/cpu/encode/moments.h"
#include "backend/cpu/encode/super_blocks.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::size_t kFeedbackRows = 64;  // side by side
constexpr int kFeedbackVectors = static_cast<int>(kFeedbackRows) / kLanes;

// The levels that a format's codes stand for.
template <typename Format>
struct FeedbackLevels {
    using Levels = typename ScaleSearch<Format>::Levels;
};
template <>
struct FeedbackLevels<tensor::Q4_1> {
    using Levels = WholeLevels<0, 15>;
};
template <>
struct FeedbackLevels<tensor::Q5_1> {
    using Levels = WholeLevels<0, 31>;
};
template <>
struct FeedbackLevels<tensor::MXFP4> {
    using Levels = TableLevels<Mxfp4Table>;
};
template <>
struct FeedbackLevels<tensor::Q3_K> {
    using Levels = SuperScaleSearch<tensor::Q3_K>::Levels;
};
template <>
struct FeedbackLevels<tensor::Q6_K> {
    using Levels = SuperScaleSearch<tensor::Q6_K>::Levels;
};
template <>
struct FeedbackLevels<tensor::IQ4_XS> {
    using Levels = SuperScaleSearch<tensor::IQ4_XS>::Levels;
};
template <>
struct FeedbackLevels<tensor::Q2_K> {
    using Levels = WholeLevels<0, SuperLineSearch<tensor::Q2_K>::kHighest>;
};
template <>
struct FeedbackLevels<tensor::Q4_K> {
    using Levels = WholeLevels<0, SuperLineSearch<tensor::Q4_K>::kHighest>;
};
template <>
struct FeedbackLevels<tensor::Q5_K> {
    using Levels = WholeLevels<0, SuperLineSearch<tensor::Q5_K>::kHighest>;
};

// What a thread works in. Numbers of 64 rows side by side: [columns, kFeedbackRows].
template <typename Format>
struct FeedbackSpace {
    static constexpr std::size_t kBlock = Format::kBlockElements;
    static constexpr std::size_t kSubBlocks = kBlock / Format::kSubBlock;
    struct Fixed {
        float corrected[kBlock][kFeedbackRows];  // what a block's weights should be, after the errors before them
        float rest[kGroup][kFeedbackRows];       // the plain encoder's errors, with those before them
        float scale[kSubBlocks][kFeedbackRows];
        float min[kSubBlocks][kFeedbackRows];
        float plain_error[kFeedbackRows];
        float error[kFeedbackRows];
        float in_rows[kFeedbackRows * kBlock];  // `corrected` as the encoder takes it: row after row
        int codes[kFeedbackRows][kBlock];
        typename Format::Block blocks[kFeedbackRows];
    };
    Fixed* fixed;
    float* weights;                // [n_cols, kFeedbackRows], and these:
    float* errors;                 // weight less what is written
    float* plain_errors;           // weight less what the plain encoder writes
    typename Format::Block* rows;  // [kFeedbackRows, n_cols / kBlock]

    static constexpr std::size_t kFixedBytes = (sizeof(Fixed) + 63) / 64 * 64;
    static std::size_t size_bytes(std::size_t n_cols) {
        return kFixedBytes + 3 * n_cols * kFeedbackRows * sizeof(float) + n_cols / kBlock * kFeedbackRows * sizeof(typename Format::Block) +
               64;
    }
    FeedbackSpace(std::byte* scratch, std::size_t n_cols) {
        fixed = reinterpret_cast<Fixed*>(scratch);
        weights = reinterpret_cast<float*>(scratch + kFixedBytes);
        errors = weights + n_cols * kFeedbackRows;
        plain_errors = errors + n_cols * kFeedbackRows;
        rows = reinterpret_cast<typename Format::Block*>(plain_errors + n_cols * kFeedbackRows);
    }
};

// Columns' factors from row `first` on: the terms that errors of these rows are multiplied with.
RAFTER_VEC Terms factor_rows(const float* upper, std::size_t group, std::size_t first) {
    return {upper + moments_size(group * kGroup) + first * kGroup, kGroup};
}

// x plus what the errors of a group's columns before c come to in column c.
RAFTER_VEC void add_within_group(const float* triangle, std::size_t c, const float* errors, F32x16* x) {
    for (std::size_t before = 0; before < c; ++before) {
        const F32x16 factor = broadcast(triangle[before * kGroup + c]);
        unroll<kFeedbackVectors>(
            [&](auto v) { x[v.value] = fma(factor, load(errors + before * kFeedbackRows + v.value * kLanes), x[v.value]); });
    }
}

// What the plain encoder's rows lose in a group of columns.
template <typename Format>
void add_plain_errors(const float* upper, const float* variance, std::size_t group, FeedbackSpace<Format>& space) {
    const float* const errors = space.plain_errors + group * kGroup * kFeedbackRows;
    float* const rest = space.fixed->rest[0];
    __builtin_memcpy(rest, errors, sizeof space.fixed->rest);
    add_products(factor_rows(upper, group, 0), {space.plain_errors, kFeedbackRows}, group * kGroup, rest, kFeedbackRows, kFeedbackRows);
    const float* const triangle = factor_rows(upper, group, group * kGroup).at;
    for (std::size_t c = 0; c < kGroup; ++c) {
        F32x16 x[kFeedbackVectors];
        unroll<kFeedbackVectors>([&](auto v) { x[v.value] = load(rest + c * kFeedbackRows + v.value * kLanes); });
        add_within_group(triangle, c, errors, x);
        const F32x16 count = broadcast(variance[group * kGroup + c]);
        unroll<kFeedbackVectors>([&](auto v) {
            float* const sum = space.fixed->plain_error + v.value * kLanes;
            store(sum, fma(count * x[v.value], x[v.value], load(sum)));
        });
    }
}

// A group of columns of a block whose scales are chosen: column after column, each error fed on to the next.
template <typename Format>
void encode_group(const float* upper, const float* variance, std::size_t group, std::size_t in_block, FeedbackSpace<Format>& space) {
    using Levels = typename FeedbackLevels<Format>::Levels;
    const float* const triangle = factor_rows(upper, group, group * kGroup).at;
    float* const errors = space.errors + group * kGroup * kFeedbackRows;
    const float* const weights = space.weights + group * kGroup * kFeedbackRows;
    typename FeedbackSpace<Format>::Fixed& fixed = *space.fixed;
    for (std::size_t c = 0; c < kGroup; ++c) {
        const std::size_t e = in_block + c;
        const std::size_t sub_block = e / Format::kSubBlock;
        F32x16 x[kFeedbackVectors];
        unroll<kFeedbackVectors>([&](auto v) { x[v.value] = load(fixed.corrected[e] + v.value * kLanes); });
        add_within_group(triangle, c, errors, x);
        const F32x16 count = broadcast(variance[group * kGroup + c]);
        unroll<kFeedbackVectors>([&](auto v) {
            constexpr int kAt = v.value * kLanes;
            const F32x16 scale = load(fixed.scale[sub_block] + kAt);
            const F32x16 min = load(fixed.min[sub_block] + kAt);
            const F32x16 level = Levels::nearest((x[v.value] + min) * inverse_or_zero(scale));
            const F32x16 value = scale * level - min;
            store(errors + c * kFeedbackRows + kAt, load(weights + c * kFeedbackRows + kAt) - value);
            const F32x16 off = x[v.value] - value;
            store(fixed.error + kAt, fma(count * off, off, load(fixed.error + kAt)));
            const LaneInts code(Levels::code(level));
            for (int l = 0; l < kLanes; ++l) fixed.codes[kAt + l][e] = code.at[l];
        });
    }
}

// Chooses the scales of a block of columns for their corrected values.
template <typename Format>
void choose_scales(const float* importance, std::size_t n_rows, EncodeRows encode, FeedbackSpace<Format>& space) {
    constexpr std::size_t kBlock = Format::kBlockElements;
    typename FeedbackSpace<Format>::Fixed& fixed = *space.fixed;
    for (std::size_t r = 0; r < kFeedbackRows; ++r) {
        for (std::size_t e = 0; e < kBlock; ++e) fixed.in_rows[r * kBlock + e] = fixed.corrected[e][r];
    }
    encode(Format::kDType, {.values = fixed.in_rows, .importance = importance, .n_rows = n_rows, .n_cols = kBlock},
           reinterpret_cast<std::byte*>(fixed.blocks));
    for (std::size_t r = 0; r < n_rows; ++r) {
        std::int8_t codes[kBlock];
        float scale[FeedbackSpace<Format>::kSubBlocks];
        float min[FeedbackSpace<Format>::kSubBlocks] = {};
        Format::unpack(fixed.blocks[r], codes, scale, min);
        for (std::size_t s = 0; s < FeedbackSpace<Format>::kSubBlocks; ++s) {
            fixed.scale[s][r] = scale[s];
            fixed.min[s][r] = min[s];
        }
    }
}

template <typename Format>
void encode_block(const WeightRows& rows, const float* upper, const float* variance, std::size_t block, EncodeRows encode,
                  FeedbackSpace<Format>& space) {
    constexpr std::size_t kBlock = Format::kBlockElements;
    constexpr std::size_t kGroups = kBlock / kGroup;
    typename FeedbackSpace<Format>::Fixed& fixed = *space.fixed;
    const std::size_t first = block * kBlock;
    __builtin_memcpy(fixed.corrected, space.weights + first * kFeedbackRows, sizeof fixed.corrected);
    for (std::size_t g = 0; g < kGroups; ++g) {
        add_products(factor_rows(upper, first / kGroup + g, 0), {space.errors, kFeedbackRows}, first, fixed.corrected[g * kGroup],
                     kFeedbackRows, kFeedbackRows);
    }
    choose_scales(rows.importance == nullptr ? nullptr : rows.importance + first, rows.n_rows, encode, space);
    for (std::size_t g = 0; g < kGroups; ++g) {
        const std::size_t group = first / kGroup + g;
        add_products(factor_rows(upper, group, first), {space.errors + first * kFeedbackRows, kFeedbackRows}, g * kGroup,
                     fixed.corrected[g * kGroup], kFeedbackRows, kFeedbackRows);
        encode_group(upper, variance, group, g * kGroup, space);
        add_plain_errors(upper, variance, group, space);
    }
    for (std::size_t r = 0; r < rows.n_rows; ++r) {
        Format::put_codes(fixed.codes[r], fixed.blocks[r]);
        space.rows[r * (rows.n_cols / kBlock) + block] = fixed.blocks[r];
    }
}

// The weights and the plain encoder's errors, side by side. Rows beyond n_rows are zero.
template <typename Format>
void take_rows(const WeightRows& rows, const std::byte* plain, FeedbackSpace<Format>& space) {
    constexpr std::size_t kBlock = Format::kBlockElements;
    const std::size_t n_blocks = rows.n_cols / kBlock;
    if (rows.n_rows < kFeedbackRows) __builtin_memset(space.weights, 0, 3 * rows.n_cols * kFeedbackRows * sizeof(float));
    __builtin_memset(space.fixed, 0, sizeof *space.fixed);
    for (std::size_t r = 0; r < rows.n_rows; ++r) {
        for (std::size_t b = 0; b < n_blocks; ++b) {
            typename Format::Block block;
            __builtin_memcpy(&block, plain + (r * n_blocks + b) * sizeof block, sizeof block);
            float decoded[kBlock];
            Format::decode(block, decoded);
            for (std::size_t e = 0; e < kBlock; ++e) {
                const std::size_t c = b * kBlock + e;
                const float weight = rows.values[r * rows.n_cols + c];
                space.weights[c * kFeedbackRows + r] = weight;
                space.plain_errors[c * kFeedbackRows + r] = weight - decoded[e];
            }
        }
    }
}

template <typename Format>
FeedbackErrors feed_back(const WeightRows& all, const float* upper, const float* variance, EncodeRows encode, std::byte* scratch,
                         std::byte* out) {
    FeedbackErrors errors;
    FeedbackSpace<Format> space(scratch, all.n_cols);
    const std::size_t n_blocks = all.n_cols / Format::kBlockElements;
    const std::size_t row_bytes = n_blocks * sizeof(typename Format::Block);
    for (std::size_t first = 0; first < all.n_rows; first += kFeedbackRows) {
        const WeightRows rows{.values = all.values + first * all.n_cols,
                              .importance = all.importance,
                              .n_rows = all.n_rows - first < kFeedbackRows ? all.n_rows - first : kFeedbackRows,
                              .n_cols = all.n_cols};
        std::byte* const to = out + first * row_bytes;
        encode(Format::kDType, rows, to);
        take_rows(rows, to, space);
        for (std::size_t block = 0; block < n_blocks; ++block) encode_block(rows, upper, variance, block, encode, space);
        for (std::size_t r = 0; r < rows.n_rows; ++r) {
            const float plain = space.fixed->plain_error[r];
            const float fed_back = space.fixed->error[r];
            const bool is_better = fed_back < plain;  // of a NaN nothing is known
            if (is_better) __builtin_memcpy(to + r * row_bytes, space.rows + r * n_blocks, row_bytes);
            errors.plain += static_cast<double>(plain);
            errors.kept += static_cast<double>(is_better ? fed_back : plain);
            errors.n_plain += is_better ? 0 : 1;
        }
    }
    return errors;
}

// Calls function(Format) for a type of blocks.
template <typename Function>
auto with_block_format(tensor::DType type, const Function& function) {
    using tensor::DType;
    switch (type) {
        case DType::kQ4_0:
            return function(tensor::Q4_0());
        case DType::kQ4_1:
            return function(tensor::Q4_1());
        case DType::kQ5_0:
            return function(tensor::Q5_0());
        case DType::kQ5_1:
            return function(tensor::Q5_1());
        case DType::kQ8_0:
            return function(tensor::Q8_0());
        case DType::kQ2_K:
            return function(tensor::Q2_K());
        case DType::kQ3_K:
            return function(tensor::Q3_K());
        case DType::kQ4_K:
            return function(tensor::Q4_K());
        case DType::kQ5_K:
            return function(tensor::Q5_K());
        case DType::kQ6_K:
            return function(tensor::Q6_K());
        case DType::kIQ4_NL:
            return function(tensor::IQ4_NL());
        case DType::kIQ4_XS:
            return function(tensor::IQ4_XS());
        case DType::kMXFP4:
            return function(tensor::MXFP4());
        case DType::kF32:
        case DType::kF16:
        case DType::kBF16:
        case DType::kI32:
            break;
    }
    __builtin_trap();  // encode_with_feedback() lets no other type in
}

FeedbackErrors feed_back_rows(tensor::DType to, const WeightRows& rows, const float* upper, const float* variance, EncodeRows encode,
                              std::byte* scratch, std::byte* out) {
    return with_block_format(to, [&](auto format) { return feed_back<decltype(format)>(rows, upper, variance, encode, scratch, out); });
}

std::size_t feedback_space_bytes(tensor::DType to, std::size_t n_cols) {
    return with_block_format(to, [n_cols](auto format) { return FeedbackSpace<decltype(format)>::size_bytes(n_cols); });
}

constexpr FeedbackKernels kFeedbackOfIsa = {.add_moments = add_moments,
                                            .factor_triangle = factor_triangle,
                                            .solve_panel = solve_panel,
                                            .subtract_group = subtract_group,
                                            .encode = feed_back_rows,
                                            .encode_scratch_bytes = feedback_space_bytes};

}  // namespace
}  // namespace rafter::backend::cpu
