// Weights as the integer kernels see them, in AVX-512 registers. What each operation means is written in vec_bytes_scalar.h.
#pragma once

#include "backend/cpu/vec_avx512.h"

namespace rafter::backend::cpu {
namespace {

struct Bytes {
    __m512i v;
};

RAFTER_VEC Bytes load_bytes(const void* p) { return {_mm512_loadu_si512(p)}; }
RAFTER_VEC void store_bytes(void* p, Bytes x) { _mm512_storeu_si512(p, x.v); }
RAFTER_VEC Bytes broadcast_bytes(std::uint8_t x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
RAFTER_VEC Bytes operator&(Bytes a, Bytes b) { return {_mm512_and_si512(a.v, b.v)}; }
RAFTER_VEC Bytes operator-(Bytes a, Bytes b) { return {_mm512_sub_epi8(a.v, b.v)}; }
RAFTER_VEC Bytes operator|(Bytes a, Bytes b) { return {_mm512_or_si512(a.v, b.v)}; }
// Of each four bytes as one number: see vec_bytes_avx2.h.
RAFTER_VEC Bytes shift(Bytes a, int n) {
    if (n >= 0) return {_mm512_srli_epi32(a.v, static_cast<unsigned>(n))};
    return {_mm512_slli_epi32(a.v, static_cast<unsigned>(-n))};
}
// table[index] for indices 0..15.
RAFTER_VEC Bytes look_up(const std::int8_t* table, Bytes index) {
    return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(load_128(table)), index.v)};
}

// vpdpbusd multiplies unsigned by signed bytes and adds four products to 32 bits, exactly, even of 255. With the zero of all weights at the
// same place, what they are raised by is one number a block of inputs, from which sums begin.
constexpr int kZeroAt = 128;
RAFTER_VEC Bytes raise(Bytes signed_bytes) { return {_mm512_xor_si512(signed_bytes.v, _mm512_set1_epi8(-128))}; }
constexpr int kTileStreams = 12;
constexpr int kTilePanels = 2;
constexpr int kFloatTile = 8;
constexpr int kFloatPanels = 2;
constexpr int kDirectStreams = 4;
constexpr int kDirectSums = 14;
constexpr int kMaxFetched = 32;
constexpr int kFetchedColumns = 8;
constexpr std::uint32_t kMaxDirect = 8;

template <int kMaxWeight, int kGroups, int kPanels, int kStreams, typename Weights>
RAFTER_VEC void dot(const Weights (&weights)[kPanels], int first, const std::int8_t* const (&x)[kStreams], const I32x16 (&start)[kStreams],
                    I32x16 (&sum)[kPanels][kStreams]) {
    static_assert(kMaxWeight > 0);
#pragma GCC unroll 16
    for (int i = 0; i < kPanels * kStreams; ++i) sum[i / kStreams][i % kStreams] = start[i % kStreams];
#pragma GCC unroll 8
    for (int i = 0; i < kGroups; ++i) {
        const int t = Weights::group(first + i);
        Bytes w[kPanels];
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) w[p] = weights[p].get(t);
#pragma GCC unroll 16
        for (int s = 0; s < kStreams; ++s) {
            std::int32_t four;
            __builtin_memcpy(&four, x[s] + 4 * t, sizeof four);
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) sum[p][s].v = _mm512_dpbusd_epi32(sum[p][s].v, w[p].v, _mm512_set1_epi32(four));
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
