// Weights as the integer kernels see them, in pairs of AVX2 registers. What each operation means is written in vec_bytes_scalar.h.
#pragma once

#include "backend/cpu/unroll.h"
#include "backend/cpu/vec_avx2.h"

namespace rafter::backend::cpu {
namespace {

struct Bytes {
    __m256i lo, hi;
};

RAFTER_VEC Bytes load_bytes(const void* p) { return {load_256(p), load_256(static_cast<const char*>(p) + 32)}; }
RAFTER_VEC void store_bytes(void* p, Bytes x) {
    store_256(p, x.lo);
    store_256(static_cast<char*>(p) + 32, x.hi);
}
RAFTER_VEC Bytes broadcast_bytes(std::uint8_t x) {
    const __m256i all = _mm256_set1_epi8(static_cast<char>(x));
    return {all, all};
}
RAFTER_VEC Bytes operator&(Bytes a, Bytes b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
RAFTER_VEC Bytes operator|(Bytes a, Bytes b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
// Of each four bytes as one number, to the right if kBits is positive and to the left if negative: bits from the neighbouring byte come in
// and are for the caller to mask.
template <int kBits>
RAFTER_VEC Bytes shift(Bytes a) {
    if constexpr (kBits > 0) return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
    if constexpr (kBits < 0) return {_mm256_slli_epi32(a.lo, -kBits), _mm256_slli_epi32(a.hi, -kBits)};
    return a;
}
// table[index] for indices 0..15.
RAFTER_VEC Bytes look_up(const std::int8_t* table, Bytes index) {
    const __m256i t = _mm256_broadcastsi128_si256(load_128(table));
    return {_mm256_shuffle_epi8(t, index.lo), _mm256_shuffle_epi8(t, index.hi)};
}

RAFTER_VEC __m256i broadcast_four(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

constexpr int kSignedBias = 0;

// maddubs adds two products of an unsigned and a signed byte in 16 bits, and saturates; so as many of its results are added up as 16 bits
// hold, and then widened. Signed weights give their sign to the inputs: |-128| is 128 as an unsigned byte, and 2 * 128 * 127 < 2^15.
template <int kMaxWeight, int kFirst, int kGroups, int kStreams, typename Weights>
RAFTER_VEC void dot(const Weights& weights, const std::int8_t* const (&x)[kStreams], I32x16 (&sum)[kStreams]) {
    constexpr int kFit = kMaxWeight > 0 ? 32767 / (2 * 127 * kMaxWeight) : 1;
    static_assert(kFit >= 1);
    constexpr int kRun = kFit < kGroups ? kFit : kGroups;
    const __m256i ones = _mm256_set1_epi16(1);
    unroll<(kGroups + kRun - 1) / kRun>([&](auto run) {
        constexpr int kBegin = decltype(run)::value * kRun;
        constexpr int kCount = kGroups - kBegin < kRun ? kGroups - kBegin : kRun;
        __m256i lo[kStreams];
        __m256i hi[kStreams];
        unroll<kCount>([&](auto i) {
            constexpr int t = Weights::group(kFirst + kBegin + decltype(i)::value);
            const Bytes w = weights.template get<t>();
            Bytes u = w;
            if constexpr (kMaxWeight == 0) u = {_mm256_abs_epi8(w.lo), _mm256_abs_epi8(w.hi)};
            unroll<kStreams>([&](auto s) {
                constexpr int c = decltype(s)::value;
                const __m256i four = broadcast_four(x[c] + 4 * t);
                __m256i four_lo = four;
                __m256i four_hi = four;
                if constexpr (kMaxWeight == 0) {
                    four_lo = _mm256_sign_epi8(four, w.lo);
                    four_hi = _mm256_sign_epi8(four, w.hi);
                }
                const __m256i pairs_lo = _mm256_maddubs_epi16(u.lo, four_lo);
                const __m256i pairs_hi = _mm256_maddubs_epi16(u.hi, four_hi);
                lo[c] = decltype(i)::value == 0 ? pairs_lo : _mm256_add_epi16(lo[c], pairs_lo);
                hi[c] = decltype(i)::value == 0 ? pairs_hi : _mm256_add_epi16(hi[c], pairs_hi);
            });
        });
        unroll<kStreams>([&](auto s) {
            constexpr int c = decltype(s)::value;
            const I32x16 part{_mm256_madd_epi16(lo[c], ones), _mm256_madd_epi16(hi[c], ones)};
            sum[c] = kBegin == 0 ? part : sum[c] + part;
        });
    });
}

}  // namespace
}  // namespace rafter::backend::cpu
