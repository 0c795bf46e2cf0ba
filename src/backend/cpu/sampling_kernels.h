// The sampling kernels, written once for all instruction sets: included after a vec_wide header (see vec_scalar.h).
#pragma once

#include "backend/sampling.h"

namespace rafter::backend::cpu {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();

// The rest of a row, filled up with logits that are no tokens.
struct PaddedTail {
    float logits[32];
    PaddedTail(const float* from, std::size_t n) {
        for (std::size_t i = 0; i < 32; ++i) logits[i] = i < n ? from[i] : kMinusInfinity;
    }
};

// ---- the largest

// Of n <= 1024 logits; -inf when none is above it.
RAFTER_VEC float largest_of_block(const float* logits, std::size_t n) {
    F32x16 best[4];
    for (F32x16& b : best) b = broadcast(kMinusInfinity);
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (std::size_t j = 0; j < 4; ++j) best[j] = max(load(logits + i + 16 * j), best[j]);  // the second operand is what a NaN leaves
    }
    for (; i + 16 <= n; i += 16) best[0] = max(load(logits + i), best[0]);
    float found = reduce_max(max(max(best[0], best[1]), max(best[2], best[3])));
    for (; i < n; ++i) found = logits[i] > found ? logits[i] : found;
    return found;
}

std::size_t largest(const float* logits, std::size_t n) {
    constexpr std::size_t kBlock = 1024;  // is searched again, the one with the largest
    float best = kMinusInfinity;
    std::size_t begin = n;
    for (std::size_t i = 0; i < n; i += kBlock) {
        const float found = largest_of_block(logits + i, n - i < kBlock ? n - i : kBlock);
        if (found > best) {
            best = found;
            begin = i;
        }
    }
    while (begin < n && logits[begin] != best) ++begin;
    return begin;
}

// ---- weights

// exp(y) for y = x * ln 2, as 2^n * e^r with |r| <= ln(2) / 2 and Taylor's polynomial of degree 9, whose first missing term is 7e-12.
// Below 2^-1000, and where x is NaN, it is 2^-1000, which no sum notices.
RAFTER_VEC F64x8 exp2_of(const F64x8& x) {
    const F64x8 clamped = max(x, broadcast_double(-1000.0));  // the second operand is what a NaN leaves
    const F64x8 n = round_nearest(clamped);
    const F64x8 r = (clamped - n) * broadcast_double(0.6931471805599453);
    F64x8 p = broadcast_double(1.0 / 362880);
    p = multiply_add(p, r, broadcast_double(1.0 / 40320));
    p = multiply_add(p, r, broadcast_double(1.0 / 5040));
    p = multiply_add(p, r, broadcast_double(1.0 / 720));
    p = multiply_add(p, r, broadcast_double(1.0 / 120));
    p = multiply_add(p, r, broadcast_double(1.0 / 24));
    p = multiply_add(p, r, broadcast_double(1.0 / 6));
    p = multiply_add(p, r, broadcast_double(0.5));
    p = multiply_add(p, r, broadcast_double(1.0));
    p = multiply_add(p, r, broadcast_double(1.0));
    return times_power_of_two(p, n);
}

RAFTER_VEC float next_below(float x) {
    if (x == 0.0F) return -1.4e-45F;
    const std::int32_t bits = __builtin_bit_cast(std::int32_t, x);
    return x > kMinusInfinity ? __builtin_bit_cast(float, bits + (x > 0.0F ? -1 : 1)) : x;
}

// Appends the lanes of the mask, which are tokens first .. first + 15.
RAFTER_VEC void append(TokenList& list, const F32x16& logits, std::size_t first, unsigned mask) {
    if (mask == 0) return;
    const I32x16 lane = []() {
        const std::int32_t index[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        return load(index);
    }();
    store_compressed(list.logits + list.n, logits, mask);
    store_compressed(list.tokens + list.n, lane + broadcast_int(static_cast<std::int32_t>(first)), mask);
    list.n += static_cast<unsigned>(__builtin_popcount(mask));
}

double weigh(const float* logits, std::size_t n, float max, double temperature, float above, TokenList& list) {
    // Lower ones weigh less than e^-37 < 2^-53 each: the largest weighs 1, so they are left out of the sum. Rounded down, to be sure.
    const float cut = next_below(static_cast<float>(static_cast<double>(max) - 37.0 * temperature));
    const F32x16 lowest = broadcast(cut < above ? cut : above);
    const F32x16 threshold = broadcast(above);
    const F64x8 offset = broadcast_double(max);
    const F64x8 factor = broadcast_double(1.4426950408889634 / temperature);
    F64x8 sum[2] = {broadcast_double(0.0), broadcast_double(0.0)};
    const auto add = [&](const float* from, std::size_t first) __attribute__((always_inline)) {
        const F32x16 x = load(from);
        if (less_mask(lowest, x) == 0) return;
        const F64x8 low = exp2_of((load_widened(from) - offset) * factor);
        const F64x8 high = exp2_of((load_widened(from + 8) - offset) * factor);
        sum[0] = sum[0] + low;
        sum[1] = sum[1] + high;
        const unsigned mask = less_mask(threshold, x);
        if (mask == 0) return;
        double* const to = list.weights + list.n;
        store_compressed(to, low, mask & 0xffU);
        store_compressed(to + __builtin_popcount(mask & 0xffU), high, mask >> 8);
        append(list, x, first, mask);
    };
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) add(logits + i, i);
    if (i < n) add(PaddedTail(logits + i, n - i).logits, i);
    return reduce_sum(sum[0] + sum[1]);
}

std::size_t gather(const float* logits, std::size_t begin, std::size_t n, float above, std::size_t full, TokenList& list) {
    const F32x16 threshold = broadcast(above);
    std::size_t i = begin;
    for (; i + 16 <= n && list.n < full; i += 16) {
        const F32x16 x = load(logits + i);
        append(list, x, i, less_mask(threshold, x));
    }
    if (i >= n || list.n >= full) return i;
    const F32x16 x = load(PaddedTail(logits + i, n - i).logits);
    append(list, x, i, less_mask(threshold, x));
    return n;
}

Share share_above(const TokenList& list, float above) {
    Share share;
    const F64x8 wide = broadcast_double(above);
    const F32x16 threshold = broadcast(above);
    F64x8 sum[2] = {broadcast_double(0.0), broadcast_double(0.0)};
    std::size_t i = 0;
    for (; i + 16 <= list.n; i += 16) {
        share.n += static_cast<unsigned>(__builtin_popcount(less_mask(threshold, load(list.logits + i))));
        for (std::size_t j = 0; j < 2; ++j) {
            sum[j] = sum[j] + where_greater(load_widened(list.logits + i + 8 * j), wide, load_double(list.weights + i + 8 * j));
        }
    }
    share.weight = reduce_sum(sum[0] + sum[1]);
    for (; i < list.n; ++i) {
        if (!(list.logits[i] > above)) continue;
        ++share.n;
        share.weight += list.weights[i];
    }
    return share;
}

void keep_above(TokenList& list, float above) {
    const std::size_t n = list.n;
    const F32x16 threshold = broadcast(above);
    list.n = 0;
    std::size_t i = 0;
    // What is written never overtakes what is read: a vector is loaded before its place may be.
    for (; i + 16 <= n; i += 16) {
        const F32x16 x = load(list.logits + i);
        const I32x16 tokens = load(list.tokens + i);
        const unsigned mask = less_mask(threshold, x);
        if (mask == 0) continue;
        store_compressed(list.logits + list.n, x, mask);
        store_compressed(list.tokens + list.n, tokens, mask);
        list.n += static_cast<unsigned>(__builtin_popcount(mask));
    }
    for (; i < n; ++i) {
        if (!(list.logits[i] > above)) continue;
        list.logits[list.n] = list.logits[i];
        list.tokens[list.n++] = list.tokens[i];
    }
}

// ---- two rows

class DivergenceSum {
  public:
    DivergenceSum(float reference_max, float max) : reference_max_(broadcast_double(reference_max)), max_(broadcast_double(max)) {}
    RAFTER_VEC void add(const float* reference, const float* row) {
        const F64x8 logits = load_widened(reference);
        const F64x8 x = logits - reference_max_;
        const F64x8 y = load_widened(row) - max_;
        const F64x8 log2_of_e = broadcast_double(1.4426950408889634);
        const F64x8 weight = exp2_of(x * log2_of_e);
        reference_ = reference_ + weight;
        row_ = row_ + exp2_of(y * log2_of_e);
        // 0 times an infinite difference would be NaN: no token of the reference, nothing to add.
        weighted_ = weighted_ + where_greater(logits, broadcast_double(kMinusInfinity), weight * (x - y));
    }
    F64x8 reference_ = broadcast_double(0.0);
    F64x8 row_ = broadcast_double(0.0);
    F64x8 weighted_ = broadcast_double(0.0);

  private:
    F64x8 reference_max_, max_;
};

DivergenceSums divergence(const float* reference, float reference_max, const float* row, float max, std::size_t n) {
    DivergenceSum low(reference_max, max);
    DivergenceSum high(reference_max, max);
    const auto add = [&](const float* p, const float* q) __attribute__((always_inline)) {
        low.add(p, q);
        high.add(p + 8, q + 8);
    };
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) add(reference + i, row + i);
    if (i < n) add(PaddedTail(reference + i, n - i).logits, PaddedTail(row + i, n - i).logits);
    return {reduce_sum(low.reference_ + high.reference_), reduce_sum(low.row_ + high.row_), reduce_sum(low.weighted_ + high.weighted_)};
}

// ---- the race

// Philox (backend/sampling.h) of 8 counters {position, group, 0, 2}. A lane holds a word in its lower half; the upper one is left as it
// comes, because multiplications do not look at it.
struct PhiloxWords {
    U64x8 word[4];
};
RAFTER_VEC PhiloxWords philox_of(const U64x8& groups, const RaceRow& row) {
    std::uint32_t key0 = row.key[0];
    std::uint32_t key1 = row.key[1];
    // The first round: its third word is 0, and the first is the same for all.
    const std::uint64_t product = std::uint64_t{0xD2511F53U} * row.position;
    U64x8 c0 = groups ^ broadcast_u64(key0);
    U64x8 c1 = broadcast_u64(0);
    U64x8 c2 = broadcast_u64((product >> 32) ^ 2U ^ key1);
    U64x8 c3 = broadcast_u64(product & 0xffffffffU);
    const U64x8 first = broadcast_u64(0xD2511F53U);
    const U64x8 second = broadcast_u64(0xCD9E8D57U);
    for (int round = 1; round < 10; ++round) {
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
        const U64x8 a = multiply_lower(c0, first);
        const U64x8 b = multiply_lower(c2, second);
        c0 = upper_halves(b) ^ c1 ^ broadcast_u64(key0);
        c1 = b;
        c2 = upper_halves(a) ^ c3 ^ broadcast_u64(key1);
        c3 = a;
    }
    return {{c0, c1, c2, c3}};
}

// A token's time is at least upper * 2^-32 / weight, because an exponential time is at least the uniform number that it is made of; and
// 1 / weight = exp(d) >= (1 + d / 16)^16 for d = (max - logit) / temperature >= 0. In floats the lower bound is off by a relative 80 *
// 2^-24 at most: 4 roundings in 1 + d / 16, each 16 times as large in its power, and 16 more. The margin of 1e-4 is 20 times that. Where d
// is so large that floats overflow, to infinity or NaN, the weight is 0 in double, too: the comparison is false, and the token does not
// run. So no token that could win is left out, and what is right does not depend on who is left in.
class RaceBound {
  public:
    explicit RaceBound(const RaceRow& row)
        : max_(broadcast(row.max)),
          factor_(broadcast(static_cast<float>(1.0 / (16.0 * (row.temperature > 1e-30 ? row.temperature : 1e-30))))),
          above_(broadcast(row.above)) {
        set(row.best_time);
    }
    // In units of 2^-24: the upper 24 bits of the noise, which a float holds exactly.
    void set(double best_time) { bound_ = broadcast(static_cast<float>(best_time * (0x1p24 * (1.0 + 1e-4)))); }
    [[nodiscard]] RAFTER_VEC unsigned may_win(const F32x16& logits, const I32x16& upper) const {
        F32x16 slowness = broadcast(1.0F) + (max_ - logits) * factor_;
        for (int i = 0; i < 4; ++i) slowness = slowness * slowness;
        return less_mask(to_float(shift_right<8>(upper)) * slowness, bound_) & less_mask(above_, logits);
    }

  private:
    F32x16 max_, factor_, above_, bound_;
};

RAFTER_VEC void enter_all(const RaceRow& row, RaceBound& bound, std::size_t first, unsigned mask, const I32x16& upper) {
    if (__builtin_expect(mask == 0, 1)) return;
    std::int32_t words[16];
    store(words, upper);
    double best_time = 0.0;
    for (; mask != 0; mask &= mask - 1) {
        const auto lane = static_cast<std::size_t>(__builtin_ctz(mask));
        best_time = row.enter(row.race, first + lane, static_cast<std::uint32_t>(words[lane]));
    }
    bound.set(best_time);
}

void race_of_all(const RaceRow& row) {
    RaceBound bound(row);
    // Group g + 0..3 in the even lanes and g + 4..7 in the odd ones: their words side by side are the tokens' in order.
    const std::uint64_t order[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    U64x8 groups = load_u64(order);
    const auto visit = [&](const float* logits, std::size_t first) __attribute__((always_inline)) {
        const PhiloxWords noise = philox_of(groups, row);
        const I32x16 upper0 = side_by_side_even(noise.word[0], noise.word[1], noise.word[2], noise.word[3]);
        const I32x16 upper1 = side_by_side_odd(noise.word[0], noise.word[1], noise.word[2], noise.word[3]);
        const unsigned mask0 = bound.may_win(load(logits), upper0);
        const unsigned mask1 = bound.may_win(load(logits + 16), upper1);
        enter_all(row, bound, first, mask0, upper0);
        enter_all(row, bound, first + 16, mask1, upper1);
        groups = groups + broadcast_u64(8);
    };
    std::size_t i = 0;
    for (; i + 32 <= row.n; i += 32) visit(row.logits + i, i);
    if (i < row.n) visit(PaddedTail(row.logits + i, row.n - i).logits, i);
}

void race_of_list(const RaceRow& row) {
    RaceBound bound(row);
    for (std::size_t i = 0; i < row.n; i += 16) {
        const std::size_t n = row.n - i < 16 ? row.n - i : 16;
        std::uint64_t groups[16] = {};
        for (std::size_t j = 0; j < n; ++j) groups[j] = static_cast<std::uint32_t>(row.tokens[i + j]) / 4;
        std::int32_t upper[16];
        for (std::size_t half = 0; half < 2; ++half) {
            const PhiloxWords noise = philox_of(load_u64(groups + 8 * half), row);
            std::uint64_t words[4][8];
            for (std::size_t w = 0; w < 4; ++w) store(words[w], noise.word[w]);
            for (std::size_t j = 0; j < 8; ++j) {
                const std::size_t w = 8 * half + j < n ? static_cast<std::uint32_t>(row.tokens[i + 8 * half + j]) % 4 : 0;
                upper[8 * half + j] = static_cast<std::int32_t>(words[w][j]);
            }
        }
        const I32x16 noise = load(upper);
        const F32x16 logits = n == 16 ? load(row.logits + i) : load(PaddedTail(row.logits + i, n).logits);
        enter_all(row, bound, i, bound.may_win(logits, noise), noise);
    }
}

void race(const RaceRow& row) { row.tokens == nullptr ? race_of_all(row) : race_of_list(row); }

}  // namespace
}  // namespace rafter::backend::cpu
