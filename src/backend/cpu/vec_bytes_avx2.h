// Weights as the integer kernels see them, in pairs of AVX2 registers. What each operation means is written in vec_bytes_scalar.h.
#pragma once

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
RAFTER_VEC Bytes operator-(Bytes a, Bytes b) { return {_mm256_sub_epi8(a.lo, b.lo), _mm256_sub_epi8(a.hi, b.hi)}; }
RAFTER_VEC Bytes operator|(Bytes a, Bytes b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
// Of each four bytes as one number, to the right by n bits, or to the left by -n: bits from the neighbouring byte come in and are for the
// caller to mask. n should be known when loops are unrolled.
RAFTER_VEC Bytes shift(Bytes a, int n) {
    if (n >= 0) return {_mm256_srli_epi32(a.lo, n), _mm256_srli_epi32(a.hi, n)};
    return {_mm256_slli_epi32(a.lo, -n), _mm256_slli_epi32(a.hi, -n)};
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

constexpr int kZeroAt = 0;
RAFTER_VEC Bytes raise(Bytes signed_bytes) { return signed_bytes; }
constexpr int kTileStreams = 4;
constexpr int kTilePanels = 1;
constexpr int kFloatTile = 6;
constexpr int kFloatPanels = 1;
constexpr int kDirectStreams = 2;
constexpr int kDirectSums = 4;
constexpr int kMaxFetched = 2;
constexpr int kFetchedColumns = 2;
constexpr std::uint32_t kMaxDirect = 24;

// maddubs adds two products of an unsigned and a signed byte in 16 bits, and saturates; so as many of its results are added up as 16 bits
// hold, and then widened. Signed weights give their sign to the inputs: |-128| is 128 as an unsigned byte, and 2 * 128 * 127 < 2^15.
template <int kMaxWeight, int kGroups, int kPanels, int kStreams, typename Weights>
RAFTER_VEC void dot(const Weights (&weights)[kPanels], int first, const std::int8_t* const (&x)[kStreams], const I32x16 (&start)[kStreams],
                    I32x16 (&sum)[kPanels][kStreams]) {
    constexpr int kRun = kMaxWeight > 0 ? 32767 / (2 * 127 * kMaxWeight) : 1;
    static_assert(kRun >= 1);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i lo[kPanels][kStreams];
    __m256i hi[kPanels][kStreams];
#pragma GCC unroll 8
    for (int i = 0; i < kGroups; ++i) {
        const int t = Weights::group(first + i);
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) {
            const Bytes w = weights[p].get(t);
            Bytes u = w;
            if constexpr (kMaxWeight == 0) u = {_mm256_abs_epi8(w.lo), _mm256_abs_epi8(w.hi)};
#pragma GCC unroll 8
            for (int s = 0; s < kStreams; ++s) {
                const __m256i four = broadcast_four(x[s] + 4 * t);
                Bytes signed_four{four, four};
                if constexpr (kMaxWeight == 0) signed_four = {_mm256_sign_epi8(four, w.lo), _mm256_sign_epi8(four, w.hi)};
                const __m256i pairs_lo = _mm256_maddubs_epi16(u.lo, signed_four.lo);
                const __m256i pairs_hi = _mm256_maddubs_epi16(u.hi, signed_four.hi);
                lo[p][s] = i % kRun == 0 ? pairs_lo : _mm256_add_epi16(lo[p][s], pairs_lo);
                hi[p][s] = i % kRun == 0 ? pairs_hi : _mm256_add_epi16(hi[p][s], pairs_hi);
                if (i % kRun == kRun - 1 || i == kGroups - 1) {
                    const I32x16 part{_mm256_madd_epi16(lo[p][s], ones), _mm256_madd_epi16(hi[p][s], ones)};
                    sum[p][s] = (i < kRun ? start[s] : sum[p][s]) + part;
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
