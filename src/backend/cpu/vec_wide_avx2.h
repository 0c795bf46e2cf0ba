// Eight lanes of 64 bits in pairs of AVX2 registers. What each operation means is written in vec_wide_scalar.h.
#pragma once

#include "backend/cpu/vec_avx2.h"

namespace rafter::backend::cpu {
namespace {

struct F64x8 {
    __m256d lo, hi;
};
struct U64x8 {
    __m256i lo, hi;
};

// ---- doubles
RAFTER_VEC F64x8 broadcast_double(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
RAFTER_VEC F64x8 load_double(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
RAFTER_VEC F64x8 load_widened(const float* p) { return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))}; }
RAFTER_VEC void store(double* p, F64x8 x) {
    _mm256_storeu_pd(p, x.lo);
    _mm256_storeu_pd(p + 4, x.hi);
}
RAFTER_VEC F64x8 operator+(F64x8 a, F64x8 b) { return {_mm256_add_pd(a.lo, b.lo), _mm256_add_pd(a.hi, b.hi)}; }
RAFTER_VEC F64x8 operator-(F64x8 a, F64x8 b) { return {_mm256_sub_pd(a.lo, b.lo), _mm256_sub_pd(a.hi, b.hi)}; }
RAFTER_VEC F64x8 operator*(F64x8 a, F64x8 b) { return {_mm256_mul_pd(a.lo, b.lo), _mm256_mul_pd(a.hi, b.hi)}; }
RAFTER_VEC F64x8 multiply_add(F64x8 a, F64x8 b, F64x8 c) { return {_mm256_fmadd_pd(a.lo, b.lo, c.lo), _mm256_fmadd_pd(a.hi, b.hi, c.hi)}; }
RAFTER_VEC F64x8 max(F64x8 a, F64x8 b) { return {_mm256_max_pd(a.lo, b.lo), _mm256_max_pd(a.hi, b.hi)}; }
RAFTER_VEC F64x8 round_nearest(F64x8 a) {
    constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_pd(a.lo, kMode), _mm256_round_pd(a.hi, kMode)};
}
// A whole number n is the last bits of n + 1.5 * 2^52.
RAFTER_VEC __m256d times_power_of_two(__m256d x, __m256d n) {
    const __m256i exponent = _mm256_slli_epi64(_mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(0x1.8p52))), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), exponent));
}
RAFTER_VEC F64x8 times_power_of_two(F64x8 x, F64x8 n) { return {times_power_of_two(x.lo, n.lo), times_power_of_two(x.hi, n.hi)}; }
RAFTER_VEC F64x8 where_greater(F64x8 key, F64x8 above, F64x8 value) {
    return {_mm256_and_pd(_mm256_cmp_pd(key.lo, above.lo, _CMP_GT_OQ), value.lo),
            _mm256_and_pd(_mm256_cmp_pd(key.hi, above.hi, _CMP_GT_OQ), value.hi)};
}
RAFTER_VEC double reduce_sum(F64x8 a) {
    const __m256d four = _mm256_add_pd(a.lo, a.hi);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// ---- 64-bit integers
RAFTER_VEC U64x8 broadcast_u64(std::uint64_t x) {
    const auto bits = static_cast<std::int64_t>(x);
    return {_mm256_set1_epi64x(bits), _mm256_set1_epi64x(bits)};
}
RAFTER_VEC U64x8 load_u64(const std::uint64_t* p) { return {load_256(p), load_256(p + 4)}; }
RAFTER_VEC void store(std::uint64_t* p, U64x8 x) {
    store_256(p, x.lo);
    store_256(p + 4, x.hi);
}
RAFTER_VEC U64x8 operator+(U64x8 a, U64x8 b) { return {_mm256_add_epi64(a.lo, b.lo), _mm256_add_epi64(a.hi, b.hi)}; }
RAFTER_VEC U64x8 operator^(U64x8 a, U64x8 b) { return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)}; }
RAFTER_VEC U64x8 multiply_lower(U64x8 a, U64x8 b) { return {_mm256_mul_epu32(a.lo, b.lo), _mm256_mul_epu32(a.hi, b.hi)}; }
RAFTER_VEC U64x8 upper_halves(U64x8 a) { return {_mm256_srli_epi64(a.lo, 32), _mm256_srli_epi64(a.hi, 32)}; }
// The lower half of a and that of b, in one lane.
RAFTER_VEC __m256i pair_lower(__m256i a, __m256i b) { return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xaa); }
RAFTER_VEC I32x16 side_by_side_even(U64x8 a, U64x8 b, U64x8 c, U64x8 d) {
    return {_mm256_unpacklo_epi64(pair_lower(a.lo, b.lo), pair_lower(c.lo, d.lo)),
            _mm256_unpacklo_epi64(pair_lower(a.hi, b.hi), pair_lower(c.hi, d.hi))};
}
RAFTER_VEC I32x16 side_by_side_odd(U64x8 a, U64x8 b, U64x8 c, U64x8 d) {
    return {_mm256_unpackhi_epi64(pair_lower(a.lo, b.lo), pair_lower(c.lo, d.lo)),
            _mm256_unpackhi_epi64(pair_lower(a.hi, b.hi), pair_lower(c.hi, d.hi))};
}

// ---- masks
RAFTER_VEC unsigned less_mask(F32x16 a, F32x16 b) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ))) |
           static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))) << 8;
}
template <typename Element, typename Vector>
RAFTER_VEC void store_compressed(Element* p, Vector x, unsigned mask) {
    Element lanes[sizeof(Vector) / sizeof(Element)];
    store(lanes, x);
    for (; mask != 0; mask &= mask - 1) *p++ = lanes[__builtin_ctz(mask)];
}

}  // namespace
}  // namespace rafter::backend::cpu
