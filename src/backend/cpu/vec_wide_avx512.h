// Eight lanes of 64 bits in AVX-512 registers. What each operation means is written in vec_wide_scalar.h.
#pragma once

#include "backend/cpu/vec_avx512.h"

namespace rafter::backend::cpu {
namespace {

struct F64x8 {
    __m512d v;
};
struct U64x8 {
    __m512i v;
};

// ---- doubles
RAFTER_VEC F64x8 broadcast_double(double x) { return {_mm512_set1_pd(x)}; }
RAFTER_VEC F64x8 load_double(const double* p) { return {_mm512_loadu_pd(p)}; }
RAFTER_VEC F64x8 load_widened(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }
RAFTER_VEC F64x8 operator+(F64x8 a, F64x8 b) { return {_mm512_add_pd(a.v, b.v)}; }
RAFTER_VEC F64x8 operator-(F64x8 a, F64x8 b) { return {_mm512_sub_pd(a.v, b.v)}; }
RAFTER_VEC F64x8 operator*(F64x8 a, F64x8 b) { return {_mm512_mul_pd(a.v, b.v)}; }
RAFTER_VEC F64x8 multiply_add(F64x8 a, F64x8 b, F64x8 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
RAFTER_VEC F64x8 max(F64x8 a, F64x8 b) { return {_mm512_max_pd(a.v, b.v)}; }
RAFTER_VEC F64x8 round_nearest(F64x8 a) { return {_mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
RAFTER_VEC F64x8 times_power_of_two(F64x8 x, F64x8 n) { return {_mm512_scalef_pd(x.v, n.v)}; }
RAFTER_VEC F64x8 where_greater(F64x8 key, F64x8 above, F64x8 value) {
    return {_mm512_maskz_mov_pd(_mm512_cmp_pd_mask(key.v, above.v, _CMP_GT_OQ), value.v)};
}
RAFTER_VEC double reduce_sum(F64x8 a) {
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// ---- 64-bit integers
RAFTER_VEC U64x8 broadcast_u64(std::uint64_t x) { return {_mm512_set1_epi64(static_cast<std::int64_t>(x))}; }
RAFTER_VEC U64x8 load_u64(const std::uint64_t* p) { return {_mm512_loadu_si512(p)}; }
RAFTER_VEC void store(std::uint64_t* p, U64x8 x) { _mm512_storeu_si512(p, x.v); }
RAFTER_VEC U64x8 operator+(U64x8 a, U64x8 b) { return {_mm512_add_epi64(a.v, b.v)}; }
RAFTER_VEC U64x8 operator^(U64x8 a, U64x8 b) { return {_mm512_xor_si512(a.v, b.v)}; }
RAFTER_VEC U64x8 multiply_lower(U64x8 a, U64x8 b) { return {_mm512_mul_epu32(a.v, b.v)}; }
RAFTER_VEC U64x8 upper_halves(U64x8 a) { return {_mm512_srli_epi64(a.v, 32)}; }
// The lower half of a and that of b, in one lane.
RAFTER_VEC __m512i pair_lower(__m512i a, __m512i b) { return _mm512_mask_blend_epi32(0xaaaa, a, _mm512_slli_epi64(b, 32)); }
RAFTER_VEC I32x16 side_by_side_even(U64x8 a, U64x8 b, U64x8 c, U64x8 d) {
    return {_mm512_unpacklo_epi64(pair_lower(a.v, b.v), pair_lower(c.v, d.v))};
}
RAFTER_VEC I32x16 side_by_side_odd(U64x8 a, U64x8 b, U64x8 c, U64x8 d) {
    return {_mm512_unpackhi_epi64(pair_lower(a.v, b.v), pair_lower(c.v, d.v))};
}

// ---- masks. A compressed register is stored whole: Zen 4 stores under a mask slowly.
RAFTER_VEC unsigned less_mask(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
RAFTER_VEC void store_compressed(float* p, F32x16 x, unsigned mask) {
    _mm512_storeu_ps(p, _mm512_maskz_compress_ps(static_cast<__mmask16>(mask), x.v));
}
RAFTER_VEC void store_compressed(std::int32_t* p, I32x16 x, unsigned mask) {
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), x.v));
}
RAFTER_VEC void store_compressed(double* p, F64x8 x, unsigned mask) {
    _mm512_storeu_pd(p, _mm512_maskz_compress_pd(static_cast<__mmask8>(mask), x.v));
}

}  // namespace
}  // namespace rafter::backend::cpu
