// Vectors of 16 lanes in AVX-512 registers. What each operation means, and how to use this header, is written in vec_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define RAFTER_VEC [[gnu::always_inline]] inline

namespace rafter::backend::cpu {
namespace {

constexpr int kLanes = 16;

struct F32x16 {
    __m512 v;
};
struct I32x16 {
    __m512i v;
};

RAFTER_VEC __m256i load_256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
RAFTER_VEC void store_256(void* p, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
RAFTER_VEC __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
RAFTER_VEC __mmask16 lanes_below(int n) { return static_cast<__mmask16>((1U << n) - 1U); }

// ---- floats
RAFTER_VEC F32x16 broadcast(float x) { return {_mm512_set1_ps(x)}; }
RAFTER_VEC F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
RAFTER_VEC F32x16 load_partial(const float* p, int n) { return {_mm512_maskz_loadu_ps(lanes_below(n), p)}; }
RAFTER_VEC void store(float* p, F32x16 x) { _mm512_storeu_ps(p, x.v); }
RAFTER_VEC void store_partial(float* p, F32x16 x, int n) { _mm512_mask_storeu_ps(p, lanes_below(n), x.v); }
RAFTER_VEC F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
RAFTER_VEC F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
RAFTER_VEC F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
RAFTER_VEC F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
RAFTER_VEC F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
RAFTER_VEC F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
RAFTER_VEC F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
RAFTER_VEC F32x16 sqrt(F32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
RAFTER_VEC F32x16 round_nearest(F32x16 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
RAFTER_VEC F32x16 times_power_of_two(F32x16 x, F32x16 n) { return {_mm512_scalef_ps(x.v, n.v)}; }
RAFTER_VEC F32x16 select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}

// ---- integers
RAFTER_VEC I32x16 broadcast_int(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
RAFTER_VEC I32x16 load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
RAFTER_VEC void store(std::int32_t* p, I32x16 x) { _mm512_storeu_si512(p, x.v); }
RAFTER_VEC I32x16 load_i8(const void* p) { return {_mm512_cvtepi8_epi32(load_128(p))}; }
RAFTER_VEC I32x16 load_u8(const void* p) { return {_mm512_cvtepu8_epi32(load_128(p))}; }
RAFTER_VEC I32x16 load_u4(const void* p) {
    std::int64_t bytes;
    __builtin_memcpy(&bytes, p, sizeof bytes);
    const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4);
    return {_mm512_and_si512(_mm512_srlv_epi32(_mm512_cvtepu8_epi32(_mm_set1_epi64x(bytes)), halves), _mm512_set1_epi32(15))};
}
RAFTER_VEC void store_i8(std::int8_t* p, I32x16 x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x.v)); }
RAFTER_VEC I32x16 operator+(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
RAFTER_VEC I32x16 operator-(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
RAFTER_VEC I32x16 operator&(I32x16 a, I32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
RAFTER_VEC I32x16 operator|(I32x16 a, I32x16 b) { return {_mm512_or_si512(a.v, b.v)}; }
RAFTER_VEC I32x16 max(I32x16 a, I32x16 b) { return {_mm512_max_epi32(a.v, b.v)}; }
RAFTER_VEC I32x16 min(I32x16 a, I32x16 b) { return {_mm512_min_epi32(a.v, b.v)}; }
template <int kBits>
RAFTER_VEC I32x16 shift_left(I32x16 a) {
    return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
RAFTER_VEC I32x16 shift_right(I32x16 a) {
    return {_mm512_srli_epi32(a.v, kBits)};
}
template <int kBits>
RAFTER_VEC I32x16 shift_right_signed(I32x16 a) {
    return {_mm512_srai_epi32(a.v, kBits)};
}

// ---- between the two
RAFTER_VEC F32x16 to_float(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
RAFTER_VEC I32x16 to_int(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
RAFTER_VEC F32x16 as_float(I32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
RAFTER_VEC I32x16 as_int(F32x16 a) { return {_mm512_castps_si512(a.v)}; }

// ---- 16-bit floats in memory
RAFTER_VEC F32x16 load_f16(const std::uint16_t* p) { return {_mm512_cvtph_ps(load_256(p))}; }
RAFTER_VEC F32x16 load_bf16(const std::uint16_t* p) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_256(p)), 16))};
}
RAFTER_VEC void store_f16(std::uint16_t* p, F32x16 x) { store_256(p, _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)); }
// Half a bfloat16's last place is added, just less where that place is even; a NaN becomes quiet instead. (The CPU's own conversion takes
// subnormals for zero.)
RAFTER_VEC void store_bf16(std::uint16_t* p, F32x16 x) {
    const __m512i bits = _mm512_castps_si512(x.v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
    const __m512i result = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
    store_256(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16)));
}

// ---- in order
RAFTER_VEC const std::byte* after(const std::byte* p, const F32x16& x) {
    __asm__("" : "+r"(p) : "v"(x.v));
    return p;
}

// ---- over lanes
RAFTER_VEC float reduce_sum(F32x16 a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
RAFTER_VEC float reduce_max(F32x16 a) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
RAFTER_VEC std::int32_t reduce_sum(I32x16 a) { return _mm512_reduce_add_epi32(a.v); }
RAFTER_VEC std::int32_t reduce_max(I32x16 a) { return _mm512_reduce_max_epi32(a.v); }

}  // namespace
}  // namespace rafter::backend::cpu

#include "backend/cpu/vec_common.h"
