// Eight lanes of 64 bits in plain C++, for sampling: what vec_wide_avx2.h and vec_wide_avx512.h have in registers, under the same names and
// with the same bits (but for multiply_add). Included after vec_scalar.h, whose rules hold here.
#pragma once

#include "backend/cpu/vec_scalar.h"

namespace rafter::backend::cpu {
namespace {

struct F64x8 {
    double lane[8];
};
struct U64x8 {
    std::uint64_t lane[8];
};

template <typename Vector, typename Function>
RAFTER_VEC Vector each_wide(const Function& function) {
    Vector result;
    for (int i = 0; i < 8; ++i) result.lane[i] = function(i);
    return result;
}

// ---- doubles
RAFTER_VEC F64x8 broadcast_double(double x) {
    return each_wide<F64x8>([&](int) { return x; });
}
RAFTER_VEC F64x8 load_double(const double* p) {
    return each_wide<F64x8>([&](int i) { return p[i]; });
}
RAFTER_VEC F64x8 load_widened(const float* p) {
    return each_wide<F64x8>([&](int i) { return static_cast<double>(p[i]); });
}
RAFTER_VEC F64x8 operator+(const F64x8& a, const F64x8& b) {
    return each_wide<F64x8>([&](int i) { return a.lane[i] + b.lane[i]; });
}
RAFTER_VEC F64x8 operator-(const F64x8& a, const F64x8& b) {
    return each_wide<F64x8>([&](int i) { return a.lane[i] - b.lane[i]; });
}
RAFTER_VEC F64x8 operator*(const F64x8& a, const F64x8& b) {
    return each_wide<F64x8>([&](int i) { return a.lane[i] * b.lane[i]; });
}
// a * b + c, rounded once where the machine can: the one operation whose last bit depends on the instruction set, for bounds only.
RAFTER_VEC F64x8 multiply_add(const F64x8& a, const F64x8& b, const F64x8& c) { return a * b + c; }
// Where either is NaN, b.
RAFTER_VEC F64x8 max(const F64x8& a, const F64x8& b) {
    return each_wide<F64x8>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
// The nearest whole number of magnitudes below 2^51, ties to even.
RAFTER_VEC F64x8 round_nearest(const F64x8& a) {
    return each_wide<F64x8>([&](int i) { return a.lane[i] + 0x1.8p52 - 0x1.8p52; });
}
// x * 2^n for whole n of -1021 to 1022 and x of about 1.
RAFTER_VEC F64x8 times_power_of_two(const F64x8& x, const F64x8& n) {
    return each_wide<F64x8>([&](int i) {
        const auto exponent = static_cast<std::uint64_t>(static_cast<std::int64_t>(n.lane[i])) << 52;
        return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, x.lane[i]) + exponent);
    });
}
// value where key > above, elsewhere 0.
RAFTER_VEC F64x8 where_greater(const F64x8& key, const F64x8& above, const F64x8& value) {
    return each_wide<F64x8>([&](int i) { return key.lane[i] > above.lane[i] ? value.lane[i] : 0.0; });
}
// Halves are added to halves: lanes i and i + 4, then i + 2, i + 1.
RAFTER_VEC double reduce_sum(F64x8 a) {
    for (int half = 4; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] + a.lane[i + half];
    }
    return a.lane[0];
}

// ---- 64-bit integers
RAFTER_VEC U64x8 broadcast_u64(std::uint64_t x) {
    return each_wide<U64x8>([&](int) { return x; });
}
RAFTER_VEC U64x8 load_u64(const std::uint64_t* p) {
    return each_wide<U64x8>([&](int i) { return p[i]; });
}
RAFTER_VEC void store(std::uint64_t* p, const U64x8& x) {
    for (int i = 0; i < 8; ++i) p[i] = x.lane[i];
}
RAFTER_VEC U64x8 operator+(const U64x8& a, const U64x8& b) {
    return each_wide<U64x8>([&](int i) { return a.lane[i] + b.lane[i]; });
}
RAFTER_VEC U64x8 operator^(const U64x8& a, const U64x8& b) {
    return each_wide<U64x8>([&](int i) { return a.lane[i] ^ b.lane[i]; });
}
// Of the lower halves: all 64 bits of the product.
RAFTER_VEC U64x8 multiply_lower(const U64x8& a, const U64x8& b) {
    return each_wide<U64x8>([&](int i) { return (a.lane[i] & 0xffffffffU) * (b.lane[i] & 0xffffffffU); });
}
RAFTER_VEC U64x8 upper_halves(const U64x8& a) {
    return each_wide<U64x8>([&](int i) { return a.lane[i] >> 32; });
}
// The lower halves of a, b, c and d side by side: those of lanes 0, 2, 4 and 6, and those of lanes 1, 3, 5 and 7.
RAFTER_VEC I32x16 side_by_side_even(const U64x8& a, const U64x8& b, const U64x8& c, const U64x8& d) {
    const U64x8* const words[4] = {&a, &b, &c, &d};
    return each_lane<I32x16>([&](int i) { return static_cast<std::int32_t>(words[i % 4]->lane[i / 4 * 2]); });
}
RAFTER_VEC I32x16 side_by_side_odd(const U64x8& a, const U64x8& b, const U64x8& c, const U64x8& d) {
    const U64x8* const words[4] = {&a, &b, &c, &d};
    return each_lane<I32x16>([&](int i) { return static_cast<std::int32_t>(words[i % 4]->lane[i / 4 * 2 + 1]); });
}

// ---- masks: bit i is lane i
// a < b; false where either is NaN.
RAFTER_VEC unsigned less_mask(const F32x16& a, const F32x16& b) {
    unsigned mask = 0;
    for (int i = 0; i < kLanes; ++i) mask |= (a.lane[i] < b.lane[i] ? 1U : 0U) << i;
    return mask;
}
// The lanes of the mask, side by side. p has room for all lanes, and those beyond may be overwritten.
template <typename Element, typename Vector>
RAFTER_VEC void store_compressed(Element* p, const Vector& x, unsigned mask) {
    for (; mask != 0; mask &= mask - 1) *p++ = x.lane[__builtin_ctz(mask)];
}

}  // namespace
}  // namespace rafter::backend::cpu
