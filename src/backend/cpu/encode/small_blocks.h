// Blocks of 32 with float scales of their own. Included after a vec header and lanes.h.
#pragma once

#include "backend/cpu/encode/lanes.h"
#include "backend/cpu/unroll.h"
#include "tensor/formats/all.h"

namespace rafter::backend::cpu {
namespace {

struct Iq4Table {
    static constexpr int kSize = 16;
    static constexpr float level(int i) { return static_cast<float>(tensor::IQ4_NL::kValues[i]); }
    RAFTER_VEC static I32x16 code(const I32x16& index) { return index; }
};
// MXFP4's in ascending order: -12 .. 12; one of its two zeros is not used.
struct Mxfp4Table {
    static constexpr int kSize = 15;
    static constexpr float level(int i) {
        return i < 7 ? static_cast<float>(tensor::MXFP4::kValues[15 - i]) : static_cast<float>(tensor::MXFP4::kValues[i - 7]);
    }
    // 15 .. 9 for the negative ones, then 0 .. 7.
    RAFTER_VEC static I32x16 code(const I32x16& index) {
        const I32x16 is_negative = shift_right_signed<31>(index - broadcast_int(7));
        return (is_negative & (broadcast_int(15) - index)) | ((index - broadcast_int(7)) - (is_negative & (index - broadcast_int(7))));
    }
};

// How each format with one scale is searched: which levels the extreme value is taken to, of both signs where the levels are not symmetric.
// Without importances the field's tools round plainly, so that the search is short: it wins little there, and people wait for it when a
// model is loaded. The numbers were chosen by measuring error and time (docs/quantize.md).
template <typename Format>
struct ScaleSearch;
template <>
struct ScaleSearch<tensor::Q4_0> {
    using Levels = WholeLevels<-8, 7>;
    static constexpr ScaleGrid kShort[] = {{-8.5F, 0.4F, 4}, {7.4F, 0.4F, 2}};
    static constexpr ScaleGrid kLong[] = {{-9.5F, 0.1F, 45}, {5.0F, 0.1F, 36}};
};
template <>
struct ScaleSearch<tensor::Q5_0> {
    using Levels = WholeLevels<-16, 15>;
    static constexpr ScaleGrid kShort[] = {{-16.5F, 0.5F, 4}, {14.8F, 0.5F, 2}};
    static constexpr ScaleGrid kLong[] = {{-17.0F, 0.15F, 34}, {12.5F, 0.15F, 23}};
};
template <>
struct ScaleSearch<tensor::Q8_0> {
    using Levels = WholeLevels<-127, 127>;
    static constexpr ScaleGrid kShort[] = {{123.0F, 0.75F, 6}};
    static constexpr ScaleGrid kLong[] = {{118.0F, 0.5F, 20}};
};
template <>
struct ScaleSearch<tensor::IQ4_NL> {
    using Levels = TableLevels<Iq4Table>;
    static constexpr ScaleGrid kShort[] = {{-140.0F, 2.5F, 19}, {90.0F, 2.5F, 13}};
    static constexpr ScaleGrid kLong[] = {{-140.0F, 2.5F, 19}, {90.0F, 2.5F, 13}};
};

// Sixteen blocks' bits are put together four bytes at a time: word w of each block in its lane, and then written to the blocks, `offset`
// bytes from the beginning of each.
template <typename Block>
RAFTER_VEC void put_word(const I32x16& words, int n, std::size_t offset, Block* out) {
    const LaneInts word(words);
    auto* to = reinterpret_cast<std::byte*>(out) + offset;
    for (int l = 0; l < n; ++l, to += sizeof(Block)) __builtin_memcpy(to, &word.at[l], sizeof word.at[l]);
}
// codes: the low four bits are packed, as tensor::pack_nibbles_of_32() does.
template <typename Block>
RAFTER_VEC void put_nibbles(const I32x16 codes[32], int n, std::size_t offset, Block* out) {
    const I32x16 low = broadcast_int(15);
    unroll<4>([&](auto w) {
        I32x16 words = broadcast_int(0);
        unroll<4>([&](auto b) {
            constexpr int kElement = 4 * w.value + b.value;
            words = words | shift_left<8 * b.value>((codes[kElement] & low) | shift_left<4>(codes[kElement + 16] & low));
        });
        put_word(words, n, offset + 4 * w.value, out);
    });
}
// As tensor::pack_fifth_bits_of_32() packs them.
template <typename Block>
RAFTER_VEC void put_fifth_bits(const I32x16 codes[32], int n, std::size_t offset, Block* out) {
    I32x16 words = broadcast_int(0);
    unroll<32>([&](auto e) { words = words | shift_left<e.value>(shift_right<4>(codes[e.value]) & broadcast_int(1)); });
    put_word(words, n, offset, out);
}
template <typename Block>
RAFTER_VEC void put_bytes(const I32x16 codes[32], int n, std::size_t offset, Block* out) {
    const I32x16 low = broadcast_int(255);
    unroll<8>([&](auto w) {
        I32x16 words = broadcast_int(0);
        unroll<4>([&](auto b) { words = words | shift_left<8 * b.value>(codes[4 * w.value + b.value] & low); });
        put_word(words, n, offset + 4 * w.value, out);
    });
}

// What a block of the format stores for its levels' codes.
template <typename Format>
RAFTER_VEC void put_codes(const I32x16 codes[32], int n, typename Format::Block* out) {
    using Block = typename Format::Block;
    constexpr std::size_t kCodes = __builtin_offsetof(Block, qs);
    if constexpr (sizeof out->qs == 32) {
        put_bytes(codes, n, kCodes, out);
    } else {
        put_nibbles(codes, n, kCodes, out);
        if constexpr (requires { out->qh; }) put_fifth_bits(codes, n, __builtin_offsetof(Block, qh), out);
    }
}
// Added to a level's code: the types around zero store no negative ones, but for Q8_0.
template <typename Format>
constexpr int kCodeOffset = 0;
template <>
constexpr int kCodeOffset<tensor::Q4_0> = 8;
template <>
constexpr int kCodeOffset<tensor::Q5_0> = 16;

template <typename Format, bool kIsShort>
void encode_scaled_lanes(const LaneBlocks<32>& blocks, int n, typename Format::Block* out) {
    using Search = ScaleSearch<Format>;
    using Levels = typename Search::Levels;
    const BestScale best = kIsShort ? search_scale<Levels>(blocks, Search::kShort, 1) : search_scale<Levels>(blocks, Search::kLong, 2);
    const LaneHalves scale(best.scale);
    I32x16 codes[32];
    codes_of<Levels>(blocks, scale.vector(), codes);
    for (I32x16& code : codes) code = code + broadcast_int(kCodeOffset<Format>);
    put_codes<Format>(codes, n, out);
    for (int l = 0; l < n; ++l) out[l].d = scale.at[l];
}

// ---- powers of two as scales

// The exponent that the specification chooses, one more and one less.
template <typename Format>
void encode_power_lanes(const LaneBlocks<32>& blocks, int n, typename Format::Block* out) {
    using Levels = TableLevels<Mxfp4Table>;
    const LaneFloats extreme(extremes(blocks));
    LaneFloats scales[3];
    for (int l = 0; l < kLanes; ++l) {
        const auto exponent = static_cast<int>(__builtin_bit_cast(std::uint32_t, extreme.at[l]) >> 23 & 255U);  // biased by 127
        const int chosen = exponent > 2 ? exponent - 2 : 0;
        for (int i = 0; i < 3; ++i) {
            const int e = chosen + i - 1;
            scales[i].at[l] = Format::scale_of(static_cast<std::uint8_t>(e < 0 ? 0 : e > 254 ? 254 : e));
        }
    }
    // Error less the sum of squares: s² qq - 2 s xq.
    F32x16 best = load(scales[1].at);
    F32x16 least = broadcast(__builtin_inff());
    for (int i = 0; i < 3; ++i) {
        const F32x16 scale = load(scales[(i + 1) % 3].at);  // the specification's first
        const LevelSums sums = level_sums<Levels>(blocks, inverse_or_zero(scale));
        const F32x16 error = scale * (scale * sums.qq - sums.xq - sums.xq);
        best = select_less(error, least, scale, best);
        least = min(error, least);
    }
    int codes[kLanes][32];
    codes_of<Levels>(blocks, best, codes);
    const LaneFloats scale(best);
    for (int l = 0; l < n; ++l) {
        const auto bits = __builtin_bit_cast(std::uint32_t, scale.at[l]);
        const std::uint32_t exponent = bits >> 23;
        Format::put(static_cast<std::uint8_t>(exponent > 0 ? exponent + 1 : bits >> 22), codes[l], out[l]);
    }
}

// ---- a scale and a minimum

// Weighted sums over the elements of a block.
struct AffineSums {
    F32x16 w;
    F32x16 x;
    F32x16 q;
    F32x16 xq;
    F32x16 qq;
};
template <int kElements>
void total_sums(const LaneBlocks<kElements>& blocks, AffineSums& sums) {
    sums.w = zero();
    sums.x = zero();
    for (int e = 0; e < kElements; ++e) {
        sums.w = sums.w + blocks.w(e);
        sums.x = fma(blocks.w(e), blocks.x(e), sums.x);
    }
}
// Of q = the level of 0 .. kHighest nearest to (x + offset) * inverse_scale.
template <int kHighest, int kElements>
[[gnu::noinline]] void quantised_sums(const LaneBlocks<kElements>& blocks, const F32x16& offset, const F32x16& inverse_scale,
                                      AffineSums& sums) {
    F32x16 q_sum[2] = {zero(), zero()};
    F32x16 xq[2] = {zero(), zero()};
    F32x16 qq[2] = {zero(), zero()};
    const F32x16 shift = offset * inverse_scale;
    for (int e = 0; e < kElements; e += 2) {
        for (int i = 0; i < 2; ++i) {
            const F32x16 x = blocks.x(e + i);
            const F32x16 q = WholeLevels<0, kHighest>::nearest(fma(x, inverse_scale, shift));
            const F32x16 wq = blocks.w(e + i) * q;
            q_sum[i] = q_sum[i] + wq;
            xq[i] = fma(x, wq, xq[i]);
            qq[i] = fma(q, wq, qq[i]);
        }
    }
    sums.q = q_sum[0] + q_sum[1];
    sums.xq = xq[0] + xq[1];
    sums.qq = qq[0] + qq[1];
}

// x = scale * q - offset, and what it gains.
struct BestLine {
    F32x16 scale = zero();
    F32x16 offset = zero();
    F32x16 gain = zero();

    // The line through the levels by least squares. kOffsetIsPositive: the K formats store none below zero.
    template <bool kOffsetIsPositive>
    RAFTER_VEC void offer(const AffineSums& s) {
        // Where all levels are nearly equal there is no line through them, but for one through zero.
        const F32x16 determinant = s.w * s.qq - s.q * s.q;
        const F32x16 least = broadcast(1e-5F) * s.w * s.qq;
        const F32x16 inverse_determinant = inverse_or_zero(determinant);
        F32x16 fitted = (s.w * s.xq - s.q * s.x) * inverse_determinant;
        F32x16 fitted_offset = (s.q * s.xq - s.qq * s.x) * inverse_determinant;
        F32x16 fitted_gain = fitted * s.xq - fitted_offset * s.x;
        if (kOffsetIsPositive) {
            const F32x16 through_zero = s.xq * inverse_or_zero(s.qq);
            const F32x16 is_line = select_less(least, determinant, fitted_offset, broadcast(-1.0F));
            fitted = select_less(is_line, zero(), through_zero, fitted);
            fitted_gain = select_less(is_line, zero(), through_zero * s.xq, fitted_gain);
            fitted_offset = select_less(is_line, zero(), zero(), fitted_offset);
        } else {
            fitted_gain = select_less(least, determinant, fitted_gain, broadcast(-__builtin_inff()));
        }
        scale = select_less(gain, fitted_gain, fitted, scale);
        offset = select_less(gain, fitted_gain, fitted_offset, offset);
        gain = max(fitted_gain, gain);
    }
};

// Candidates: the range of the values, cut by some parts of a step at either end.
struct CutGrid {
    float first;
    float step;
    int n;
};
template <int kHighest, bool kOffsetIsPositive, int kElements>
BestLine search_line(const LaneBlocks<kElements>& blocks, const CutGrid& cuts, int n_refinements) {
    F32x16 low = blocks.x(0);
    F32x16 high = blocks.x(0);
    for (int e = 1; e < kElements; ++e) {
        low = min(blocks.x(e), low);
        high = max(blocks.x(e), high);
    }
    if (kOffsetIsPositive) {
        low = min(low, zero());
        high = max(high, zero());
    }
    const F32x16 step = (high - low) * broadcast(1.0F / static_cast<float>(kHighest));
    AffineSums sums;
    total_sums(blocks, sums);
    BestLine best;
    // No line but the mean: of a block of equal values.
    best.offset = -(sums.x * inverse_or_zero(sums.w));
    if (kOffsetIsPositive) best.offset = max(best.offset, zero());
    best.gain = -(best.offset * sums.x);
    for (int i = 0; i < cuts.n; ++i) {
        for (int j = 0; j < cuts.n; ++j) {
            const F32x16 from = low + step * broadcast(cuts.first + cuts.step * static_cast<float>(i));
            const F32x16 to = high - step * broadcast(cuts.first + cuts.step * static_cast<float>(j));
            quantised_sums<kHighest>(blocks, -from, broadcast(static_cast<float>(kHighest)) * inverse_or_zero(to - from), sums);
            best.offer<kOffsetIsPositive>(sums);
        }
    }
    for (int i = 0; i < n_refinements; ++i) {
        quantised_sums<kHighest>(blocks, best.offset, inverse_or_zero(best.scale), sums);
        best.offer<kOffsetIsPositive>(sums);
    }
    best.scale = select_less(broadcast(kTooLarge), max(high, -low), broadcast(kTooLarge), best.scale);
    return best;
}

template <int kHighest, int kElements>
RAFTER_VEC void affine_codes(const LaneBlocks<kElements>& blocks, const F32x16& scale, const F32x16& offset, I32x16 codes[kElements]) {
    const F32x16 inverse_scale = inverse_or_zero(scale);
    for (int e = 0; e < kElements; ++e) codes[e] = to_int(WholeLevels<0, kHighest>::nearest((blocks.x(e) + offset) * inverse_scale));
}
template <int kHighest, int kElements>
void affine_codes(const LaneBlocks<kElements>& blocks, const F32x16& scale, const F32x16& offset, int codes[kLanes][kElements]) {
    const F32x16 inverse_scale = inverse_or_zero(scale);
    for (int e = 0; e < kElements; ++e) {
        const LaneInts code(to_int(WholeLevels<0, kHighest>::nearest((blocks.x(e) + offset) * inverse_scale)));
        for (int l = 0; l < kLanes; ++l) codes[l][e] = code.at[l];
    }
}

template <typename Format, int kHighest, bool kIsShort>
void encode_affine_lanes(const LaneBlocks<32>& blocks, int n, typename Format::Block* out) {
    constexpr CutGrid kShort = {-0.1F, 0.3F, 2};
    constexpr CutGrid kLong = {-0.4F, 0.2F, 8};
    const BestLine best = search_line<kHighest, false>(blocks, kIsShort ? kShort : kLong, kIsShort ? 1 : 2);
    const LaneHalves scale(best.scale);
    const LaneHalves offset(best.offset);
    I32x16 codes[32];
    affine_codes<kHighest>(blocks, scale.vector(), offset.vector(), codes);
    put_codes<Format>(codes, n, out);
    const LaneHalves minimum(-offset.vector());
    for (int l = 0; l < n; ++l) {
        out[l].d = scale.at[l];
        out[l].m = minimum.at[l];
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
