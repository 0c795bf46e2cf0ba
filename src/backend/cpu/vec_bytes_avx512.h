// Weights as the integer kernels see them, in AVX-512 registers. What each operation means is written in vec_bytes_scalar.h.
#pragma once

#include "backend/cpu/unroll.h"
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
RAFTER_VEC Bytes operator|(Bytes a, Bytes b) { return {_mm512_or_si512(a.v, b.v)}; }
// Of each four bytes as one number: see vec_bytes_avx2.h.
template <int kBits>
RAFTER_VEC Bytes shift(Bytes a) {
    if constexpr (kBits > 0) return {_mm512_srli_epi32(a.v, kBits)};
    if constexpr (kBits < 0) return {_mm512_slli_epi32(a.v, -kBits)};
    return a;
}
// table[index] for indices 0..15.
RAFTER_VEC Bytes look_up(const std::int8_t* table, Bytes index) {
    return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(load_128(table)), index.v)};
}

// vpdpbusd multiplies unsigned by signed bytes and adds four products to 32 bits, exactly: signed weights are raised by 128.
constexpr int kSignedBias = 128;

template <int kMaxWeight, int kFirst, int kGroups, int kStreams, typename Weights>
RAFTER_VEC void dot(const Weights& weights, const std::int8_t* const (&x)[kStreams], I32x16 (&sum)[kStreams]) {
    for (int s = 0; s < kStreams; ++s) sum[s] = broadcast_int(0);
    unroll<kGroups>([&](auto i) {
        constexpr int t = Weights::group(kFirst + decltype(i)::value);
        Bytes w = weights.template get<t>();
        if constexpr (kMaxWeight == 0) w = {_mm512_xor_si512(w.v, _mm512_set1_epi8(-128))};
        unroll<kStreams>([&](auto s) {
            constexpr int c = decltype(s)::value;
            std::int32_t four;
            __builtin_memcpy(&four, x[c] + 4 * t, sizeof four);
            sum[c].v = _mm512_dpbusd_epi32(sum[c].v, w.v, _mm512_set1_epi32(four));
        });
    });
}

}  // namespace
}  // namespace rafter::backend::cpu
