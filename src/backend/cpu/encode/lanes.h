// Sixteen blocks side by side, one in each lane of the vectors, so that a search takes the same steps for all and no sum crosses lanes.
// Included after a vec header (see backend/cpu/vec_scalar.h).
#pragma once

#include "backend/encoding.h"
#include "tensor/half.h"

namespace rafter::backend::cpu {
namespace {

// Finite: the inverse of a subnormal number may be beyond all floats.
RAFTER_VEC F32x16 inverse_or_zero(const F32x16& x) {
    const F32x16 largest = broadcast(3e38F);
    return select_less(zero(), abs(x), min(max(broadcast(1.0F) / x, -largest), largest), zero());
}

// A block with a magnitude beyond this has no scale that an f16 holds, and its squares may be beyond a float.
constexpr float kTooLarge = 1e15F;

// Element e of lane l is element e of block l.
template <int kElements>
struct LaneBlocks {
    alignas(64) float values[kElements][kLanes];
    alignas(64) float importance[kElements][kLanes];

    [[nodiscard]] F32x16 x(int e) const { return load(values[e]); }
    [[nodiscard]] F32x16 w(int e) const { return load(importance[e]); }

    // Blocks [first, first + n) of the rows, counted through all of them; lanes beyond are zero.
    void take(const WeightRows& rows, std::size_t first, int n) {
        if (n < kLanes) __builtin_memset(values, 0, sizeof values);
        const float* const from = rows.values + first * kElements;
        for (int e = 0; e < kElements; ++e) {
            for (int l = 0; l < n; ++l) values[e][l] = from[l * kElements + e];
        }
        weigh_by_magnitude();
        if (rows.importance == nullptr) return;
        for (int l = 0; l < n; ++l) {
            const float* const weights = rows.importance + (first + static_cast<std::size_t>(l)) * kElements % rows.n_cols;
            if (all_zero(weights)) continue;
            for (int e = 0; e < kElements; ++e) importance[e][l] = weights[e];
        }
    }

  private:
    // Where nothing is known of the columns, a weight counts the more the larger it is, from once to some times the average: equal weights
    // for all would cut off the few large ones, and outputs lose more by that than their squares say (docs/quantize.md).
    void weigh_by_magnitude() {
        F32x16 squares = zero();
        for (int e = 0; e < kElements; ++e) squares = fma(x(e), x(e), squares);
        // Nothing of squares that are zero, or beyond a float.
        const F32x16 is_known = select_less(squares, broadcast(kTooLarge * kTooLarge), squares, zero());
        const F32x16 per_mean_square = broadcast(static_cast<float>(kElements)) * inverse_or_zero(is_known);
        for (int e = 0; e < kElements; ++e) {
            const F32x16 known = select_less(zero(), per_mean_square, x(e), zero());
            store(importance[e], fma(known * known, per_mean_square, broadcast(1.0F)));
        }
    }
    static bool all_zero(const float* weights) {
        float most = 0.0F;
        for (int e = 0; e < kElements; ++e) most = weights[e] > most ? weights[e] : most;
        return most == 0.0F;
    }
};

// The value of the largest magnitude of each block, with its sign.
template <int kElements>
F32x16 extremes(const LaneBlocks<kElements>& blocks) {
    F32x16 found = zero();
    for (int e = 0; e < kElements; ++e) found = select_less(abs(found), abs(blocks.x(e)), blocks.x(e), found);
    return found;
}

// Levels: the numbers that a scale multiplies. nearest() gives the level closest to x, as a float, and code() what a block stores for it.
template <int kLowest, int kHighest>
struct WholeLevels {
    RAFTER_VEC static F32x16 nearest(const F32x16& x) {
        // A NaN becomes the lowest.
        return min(max(round_nearest(x), broadcast(static_cast<float>(kLowest))), broadcast(static_cast<float>(kHighest)));
    }
    RAFTER_VEC static I32x16 code(const F32x16& level) { return to_int(level); }
};

// Of a table in ascending order, with n - 1 comparisons.
template <typename Table>
struct TableLevels {
    static constexpr int kSize = Table::kSize;
    RAFTER_VEC static F32x16 nearest(const F32x16& x) {
        F32x16 level = broadcast(Table::level(0));
        for (int i = 1; i < kSize; ++i) {
            level = select_less(broadcast(0.5F * (Table::level(i - 1) + Table::level(i))), x, broadcast(Table::level(i)), level);
        }
        return level;
    }
    RAFTER_VEC static I32x16 code(const F32x16& level) {
        F32x16 index = zero();
        for (int i = 1; i < kSize; ++i) {
            index = select_less(broadcast(0.5F * (Table::level(i - 1) + Table::level(i))), level, broadcast(static_cast<float>(i)), index);
        }
        return Table::code(to_int(index));
    }
};

// Weighted sums over the elements of each block of its values x and its levels q. Not inline: it is called for every candidate of every
// search, and the loop outweighs the call.
struct LevelSums {
    F32x16 xq;
    F32x16 qq;
};
template <typename Levels, int kElements>
[[gnu::noinline]] LevelSums level_sums(const LaneBlocks<kElements>& blocks, const F32x16& inverse_scale) {
    F32x16 xq[2] = {zero(), zero()};
    F32x16 qq[2] = {zero(), zero()};
    for (int e = 0; e < kElements; e += 2) {
        for (int i = 0; i < 2; ++i) {
            const F32x16 x = blocks.x(e + i);
            const F32x16 q = Levels::nearest(x * inverse_scale);
            const F32x16 wq = blocks.w(e + i) * q;
            xq[i] = fma(x, wq, xq[i]);
            qq[i] = fma(q, wq, qq[i]);
        }
    }
    return {xq[0] + xq[1], qq[0] + qq[1]};
}

// The best scale so far and what it gains: the weighted sum of squares that it explains.
struct BestScale {
    F32x16 scale = zero();
    F32x16 gain = zero();

    // For the levels that lie nearest with one scale, the least squares give a better one, and the same levels with it explain xq² / qq.
    RAFTER_VEC void offer(const LevelSums& sums) {
        const F32x16 fitted = sums.xq * inverse_or_zero(sums.qq);
        const F32x16 fitted_gain = fitted * sums.xq;
        scale = select_less(gain, fitted_gain, fitted, scale);
        gain = max(fitted_gain, gain);  // the second operand is what a NaN leaves
    }
};

// Scales that take a block's extreme value to each of n levels from `first` on, in steps.
struct ScaleGrid {
    float first;
    float step;
    int n;
};
template <typename Levels, int kElements, typename Grids>
BestScale search_scale(const LaneBlocks<kElements>& blocks, const Grids& grids, int n_refinements) {
    const F32x16 extreme = extremes(blocks);
    const F32x16 inverse_extreme = inverse_or_zero(extreme);
    BestScale best;
    for (const ScaleGrid& grid : grids) {
        for (int i = 0; i < grid.n; ++i) {
            const float level = grid.first + grid.step * static_cast<float>(i);
            best.offer(level_sums<Levels>(blocks, broadcast(level) * inverse_extreme));
        }
    }
    for (int i = 0; i < n_refinements; ++i) best.offer(level_sums<Levels>(blocks, inverse_or_zero(best.scale)));
    best.scale = select_less(broadcast(kTooLarge), abs(extreme), extreme, best.scale);
    return best;
}

// Each lane's number in an array.
struct LaneFloats {
    alignas(64) float at[kLanes];
    LaneFloats() = default;
    explicit LaneFloats(const F32x16& x) { store(at, x); }
};
struct LaneInts {
    alignas(64) std::int32_t at[kLanes];
    LaneInts() = default;
    explicit LaneInts(const I32x16& x) { store(at, x); }
};

// A number of each block as an f16, and rounded to it.
struct LaneHalves {
    std::uint16_t at[kLanes];
    explicit LaneHalves(const F32x16& x) { store_f16(at, x); }
    RAFTER_VEC F32x16 vector() const { return load_f16(at); }
};

// What each block stores for its elements: element e of all blocks in codes[e].
template <typename Levels, int kElements>
RAFTER_VEC void codes_of(const LaneBlocks<kElements>& blocks, const F32x16& scale, I32x16 codes[kElements]) {
    const F32x16 inverse_scale = inverse_or_zero(scale);
    for (int e = 0; e < kElements; ++e) codes[e] = Levels::code(Levels::nearest(blocks.x(e) * inverse_scale));
}

// The same, block after block.
template <typename Levels, int kElements>
void codes_of(const LaneBlocks<kElements>& blocks, const F32x16& scale, int codes[kLanes][kElements]) {
    const F32x16 inverse_scale = inverse_or_zero(scale);
    for (int e = 0; e < kElements; ++e) {
        const LaneInts code(Levels::code(Levels::nearest(blocks.x(e) * inverse_scale)));
        for (int l = 0; l < kLanes; ++l) codes[l][e] = code.at[l];
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
