// Super-blocks of 256, whose sub-blocks have small whole scales of one float scale: each sub-block is searched by itself first, then the
// shared scale is fitted to all and each sub-block's whole numbers are searched near what it wanted. Included after a vec header.
#pragma once

#include "backend/cpu/encode/small_blocks.h"

namespace rafter::backend::cpu {
namespace {

// A super-block has kSubBlocks neighbouring lanes.
template <int kSubBlocks, typename Function>
RAFTER_VEC void each_super_block(const Function& function) {
    for (int first = 0; first < kLanes; first += kSubBlocks) function(first);
}

// A number of each super-block, rounded to what an f16 holds, in all its lanes.
template <int kSubBlocks>
struct SharedScale {
    LaneFloats lanes;
    std::uint16_t halves[kLanes / kSubBlocks];

    RAFTER_VEC void set(int first, float value) {
        const std::uint16_t half = tensor::f32_to_f16(value);
        halves[first / kSubBlocks] = half;
        const float rounded = tensor::f16_to_f32(half);
        for (int l = first; l < first + kSubBlocks; ++l) lanes.at[l] = rounded;
    }
    RAFTER_VEC F32x16 vector() const { return load(lanes.at); }
};

RAFTER_VEC float inverse_number(float x) { return x == 0.0F ? 0.0F : 1.0F / x; }

// ---- one scale

template <typename Format>
struct SuperScaleSearch;
template <>
struct SuperScaleSearch<tensor::Q3_K> {
    using Levels = WholeLevels<-4, 3>;
    static constexpr ScaleGrid kShort[] = {{-4.8F, 0.3F, 7}, {2.6F, 0.3F, 5}};
    static constexpr ScaleGrid kLong[] = {{-5.0F, 0.1F, 26}, {2.2F, 0.1F, 19}};
    static constexpr int kLowestScale = -32;
    static constexpr int kNearShort = 1;  // whole scales on either side that are tried
    static constexpr int kNearLong = 3;
};
template <>
struct SuperScaleSearch<tensor::Q6_K> {
    using Levels = WholeLevels<-32, 31>;
    static constexpr ScaleGrid kShort[] = {{-32.6F, 0.6F, 6}, {30.0F, 0.6F, 4}};
    static constexpr ScaleGrid kLong[] = {{-33.0F, 0.25F, 21}, {28.0F, 0.25F, 17}};
    static constexpr int kLowestScale = -128;
    static constexpr int kNearShort = 1;
    static constexpr int kNearLong = 3;
};
template <>
struct SuperScaleSearch<tensor::IQ4_XS> {
    using Levels = TableLevels<Iq4Table>;
    static constexpr ScaleGrid kShort[] = {{-140.0F, 5.0F, 9}, {95.0F, 5.0F, 5}};
    static constexpr ScaleGrid kLong[] = {{-140.0F, 4.0F, 12}, {90.0F, 4.0F, 8}};
    static constexpr int kLowestScale = -32;
    static constexpr int kNearShort = 1;
    static constexpr int kNearLong = 1;
};

// The whole scale of each lane near `wanted` with which its error is least, and the sums that it leads to.
template <typename Search, int kNear, int kElements>
F32x16 search_whole_scale(const LaneBlocks<kElements>& blocks, const F32x16& wanted, const F32x16& d, LevelSums& sums) {
    const F32x16 lowest = broadcast(static_cast<float>(Search::kLowestScale));
    const F32x16 highest = broadcast(static_cast<float>(-Search::kLowestScale - 1));
    const F32x16 middle = min(max(round_nearest(wanted), lowest), highest);
    F32x16 best = middle;
    F32x16 least = broadcast(__builtin_inff());
    for (int i = 0; i <= 2 * kNear; ++i) {
        // From the middle outwards, so that it wins where all are equal.
        const int distance = (i + 1) / 2 * (i % 2 == 0 ? 1 : -1);
        const F32x16 whole = min(max(middle + broadcast(static_cast<float>(distance)), lowest), highest);
        const F32x16 scale = d * whole;
        const LevelSums found = level_sums<typename Search::Levels>(blocks, inverse_or_zero(scale));
        const F32x16 error = scale * (scale * found.qq - found.xq - found.xq);  // less the sum of squares
        best = select_less(error, least, whole, best);
        sums.xq = select_less(error, least, found.xq, sums.xq);
        sums.qq = select_less(error, least, found.qq, sums.qq);
        least = min(error, least);
    }
    return best;
}

template <typename Format, int kSubBlocks, bool kIsShort>
void encode_super_scaled_lanes(const LaneBlocks<256 / kSubBlocks>& blocks, int n_super_blocks, typename Format::Block* out) {
    using Search = SuperScaleSearch<Format>;
    using Levels = typename Search::Levels;
    constexpr int kNear = kIsShort ? Search::kNearShort : Search::kNearLong;
    const BestScale best = kIsShort ? search_scale<Levels>(blocks, Search::kShort, 1) : search_scale<Levels>(blocks, Search::kLong, 1);
    const F32x16 wanted = best.scale;
    const LaneFloats wanted_lanes(wanted);
    SharedScale<kSubBlocks> d;
    each_super_block<kSubBlocks>(
        [&](int first) { d.set(first, tensor::extreme(wanted_lanes.at + first, kSubBlocks) / static_cast<float>(Search::kLowestScale)); });
    LevelSums sums{zero(), zero()};
    F32x16 whole = search_whole_scale<Search, kNear>(blocks, wanted * inverse_or_zero(d.vector()), d.vector(), sums);
    for (int pass = 0; pass < (kIsShort ? 1 : 2); ++pass) {
        // With the levels and whole scales that were found, least squares give the shared scale.
        const LaneFloats xq(whole * sums.xq);
        const LaneFloats qq(whole * whole * sums.qq);
        each_super_block<kSubBlocks>([&](int first) {
            float sum_xq = 0.0F;
            float sum_qq = 0.0F;
            for (int l = first; l < first + kSubBlocks; ++l) {
                sum_xq += xq.at[l];
                sum_qq += qq.at[l];
            }
            if (sum_qq > 0.0F) d.set(first, sum_xq * inverse_number(sum_qq));
        });
        whole = search_whole_scale<Search, kNear>(blocks, wanted * inverse_or_zero(d.vector()), d.vector(), sums);
    }
    int codes[kLanes][256 / kSubBlocks];
    codes_of<Levels>(blocks, d.vector() * whole, codes);
    const LaneInts scales(to_int(whole));
    for (int b = 0; b < n_super_blocks; ++b) {
        Format::put(d.halves[b], scales.at + b * kSubBlocks, codes[b * kSubBlocks], out[b]);
    }
}

// ---- a scale and a minimum

template <typename Format>
struct SuperLineSearch;
template <>
struct SuperLineSearch<tensor::Q2_K> {
    static constexpr int kHighest = 3;
    static constexpr int kHighestScale = 15;
    static constexpr CutGrid kShort = {-0.3F, 0.3F, 4};
    static constexpr CutGrid kLong = {-0.4F, 0.15F, 8};
    static constexpr int kNearShort = 1;  // whole scales, and minimums, on either side that are tried
    static constexpr int kNearLong = 2;
};
template <>
struct SuperLineSearch<tensor::Q4_K> {
    static constexpr int kHighest = 15;
    static constexpr int kHighestScale = 63;
    static constexpr CutGrid kShort = {-0.1F, 0.4F, 3};
    static constexpr CutGrid kLong = {-0.4F, 0.25F, 7};
    static constexpr int kNearShort = 1;
    static constexpr int kNearLong = 2;
};
template <>
struct SuperLineSearch<tensor::Q5_K> {
    static constexpr int kHighest = 31;
    static constexpr int kHighestScale = 63;
    static constexpr CutGrid kShort = {-0.1F, 0.4F, 3};
    static constexpr CutGrid kLong = {-0.4F, 0.2F, 7};
    static constexpr int kNearShort = 1;
    static constexpr int kNearLong = 2;
};

struct WholeLine {
    F32x16 scale;
    F32x16 min;
    AffineSums sums;
};
// The whole scale and minimum of each lane near the wanted ones with which its error is least.
template <typename Search, int kNear, int kElements>
void search_whole_line(const LaneBlocks<kElements>& blocks, const F32x16& wanted_scale, const F32x16& wanted_min, const F32x16& d,
                       const F32x16& dmin, WholeLine& best) {
    const F32x16 highest = broadcast(static_cast<float>(Search::kHighestScale));
    const F32x16 middle = min(max(round_nearest(wanted_scale), zero()), highest);
    const F32x16 middle_min = min(max(round_nearest(wanted_min), zero()), highest);
    AffineSums sums;
    total_sums(blocks, sums);
    best.sums.w = sums.w;
    best.sums.x = sums.x;
    best.scale = middle;
    best.min = middle_min;
    F32x16 least = broadcast(__builtin_inff());
    for (int i = 0; i <= 2 * kNear; ++i) {
        const int distance = (i + 1) / 2 * (i % 2 == 0 ? 1 : -1);
        const F32x16 whole = min(max(middle + broadcast(static_cast<float>(distance)), zero()), highest);
        const F32x16 scale = d * whole;
        for (int j = 0; j <= 2 * kNear; ++j) {
            const int min_distance = (j + 1) / 2 * (j % 2 == 0 ? 1 : -1);
            const F32x16 whole_min = min(max(middle_min + broadcast(static_cast<float>(min_distance)), zero()), highest);
            const F32x16 offset = dmin * whole_min;
            quantised_sums<Search::kHighest>(blocks, offset, inverse_or_zero(scale), sums);
            // Of scale * q - offset, less the sum of squares.
            const F32x16 of_scale = scale * (scale * sums.qq - sums.xq - sums.xq);
            const F32x16 error = of_scale + offset * (offset * sums.w + sums.x + sums.x - (scale + scale) * sums.q);
            best.scale = select_less(error, least, whole, best.scale);
            best.min = select_less(error, least, whole_min, best.min);
            best.sums.q = select_less(error, least, sums.q, best.sums.q);
            best.sums.xq = select_less(error, least, sums.xq, best.sums.xq);
            best.sums.qq = select_less(error, least, sums.qq, best.sums.qq);
            least = min(error, least);
        }
    }
}

// d and dmin by least squares, with the levels and whole numbers that were found: two equations a super-block.
template <int kSubBlocks>
void fit_shared_line(const WholeLine& line, SharedScale<kSubBlocks>& d, SharedScale<kSubBlocks>& dmin) {
    const LaneFloats ss(line.scale * line.scale * line.sums.qq);
    const LaneFloats sm(line.scale * line.min * line.sums.q);
    const LaneFloats mm(line.min * line.min * line.sums.w);
    const LaneFloats sx(line.scale * line.sums.xq);
    const LaneFloats mx(line.min * line.sums.x);
    each_super_block<kSubBlocks>([&](int first) {
        float a = 0.0F;
        float b = 0.0F;
        float c = 0.0F;
        float u = 0.0F;
        float v = 0.0F;
        for (int l = first; l < first + kSubBlocks; ++l) {
            a += ss.at[l];
            b += sm.at[l];
            c += mm.at[l];
            u += sx.at[l];
            v += mx.at[l];
        }
        // a d - b dmin = u; b d - c dmin = v.
        const float determinant = a * c - b * b;
        if (determinant > 1e-6F * a * c) {
            const float fitted = (u * c - v * b) / determinant;
            const float fitted_min = (u * b - v * a) / determinant;
            if (fitted > 0.0F && fitted_min >= 0.0F) {
                d.set(first, fitted);
                dmin.set(first, fitted_min);
            }
        } else if (a > 0.0F && u > 0.0F && c == 0.0F) {
            d.set(first, u / a);
        }
    });
}

template <typename Format, int kSubBlocks, bool kIsShort>
void encode_super_affine_lanes(const LaneBlocks<256 / kSubBlocks>& blocks, int n_super_blocks, typename Format::Block* out) {
    using Search = SuperLineSearch<Format>;
    constexpr int kNear = kIsShort ? Search::kNearShort : Search::kNearLong;
    const BestLine wanted = search_line<Search::kHighest, true>(blocks, kIsShort ? Search::kShort : Search::kLong, 1);
    SharedScale<kSubBlocks> d;
    SharedScale<kSubBlocks> dmin;
    const LaneFloats scales(wanted.scale);
    const LaneFloats mins(wanted.offset);
    each_super_block<kSubBlocks>([&](int first) {
        d.set(first, tensor::extreme(scales.at + first, kSubBlocks) / static_cast<float>(Search::kHighestScale));
        dmin.set(first, tensor::extreme(mins.at + first, kSubBlocks) / static_cast<float>(Search::kHighestScale));
    });
    WholeLine line;
    line.sums = {zero(), zero(), zero(), zero(), zero()};
    const auto search = [&] {
        search_whole_line<Search, kNear>(blocks, wanted.scale * inverse_or_zero(d.vector()), wanted.offset * inverse_or_zero(dmin.vector()),
                                         d.vector(), dmin.vector(), line);
    };
    search();
    for (int pass = 0; pass < (kIsShort ? 1 : 2); ++pass) {
        fit_shared_line(line, d, dmin);
        search();
    }
    constexpr int kElements = 256 / kSubBlocks;
    int codes[kLanes][kElements];
    affine_codes<Search::kHighest>(blocks, d.vector() * line.scale, dmin.vector() * line.min, codes);
    const LaneInts whole_scales(to_int(line.scale));
    const LaneInts whole_mins(to_int(line.min));
    for (int b = 0; b < n_super_blocks; ++b) {
        tensor::AffineSuperBlock<kSubBlocks> fit;
        fit.d = d.halves[b];
        fit.dmin = dmin.halves[b];
        for (int s = 0; s < kSubBlocks; ++s) {
            fit.scales[s] = whole_scales.at[b * kSubBlocks + s];
            fit.mins[s] = whole_mins.at[b * kSubBlocks + s];
        }
        for (int e = 0; e < 256; ++e) fit.q[e] = codes[b * kSubBlocks + e / kElements][e % kElements];
        Format::put(fit, out[b]);
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
