// Vectors of 16 lanes in plain C++: the reference for vec_avx2.h and vec_avx512.h, which have the same names and give the same bits.
//
// How to use them: kernels are written once, in a header (say norm_kernels.h) that names these types and includes no vec header itself, and
// are compiled once an instruction set, by files of a few lines whose suffix selects the compiler flags (cmake/RafterIsa.cmake):
//     norm_avx2.cpp:   #include "backend/cpu/vec_avx2.h"
//                      #include "backend/cpu/norm_kernels.h"
//                      namespace rafter::backend::cpu { NormKernels norm_kernels_avx2() { return {.rms_norm = rms_norm}; } }
// Everything here and in such headers has internal linkage (an unnamed namespace, and nothing from std that is a template or inline), so
// that no function compiled for one instruction set can be linked into another's code.
//
// A vector has 16 lanes on every instruction set (one zmm, two ymm, an array), every operation rounds each lane by itself, and sums over
// lanes have one fixed order: a kernel written with them gives the same bits everywhere. So tests compare instruction sets with ==.
// AVX2 has 16 registers, thus 8 such vectors: keep no more than 6 accumulators live.
//
// Tails: a row of n elements is whole vectors and then load_partial/store_partial with the rest, 0 < rest < 16. Lanes beyond are zero when
// loaded and their memory is neither read nor written.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/half.h"

#define RAFTER_VEC [[gnu::always_inline]] inline

namespace rafter::backend::cpu {
namespace {

constexpr int kLanes = 16;

struct F32x16 {
    float lane[16];
};
struct I32x16 {
    std::int32_t lane[16];
};

template <typename Vector, typename Function>
RAFTER_VEC Vector each_lane(const Function& function) {
    Vector result;
    for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
    return result;
}

// ---- floats
RAFTER_VEC F32x16 broadcast(float x) {
    return each_lane<F32x16>([&](int) { return x; });
}
RAFTER_VEC F32x16 load(const float* p) {
    return each_lane<F32x16>([&](int i) { return p[i]; });
}
RAFTER_VEC F32x16 load_partial(const float* p, int n) {
    return each_lane<F32x16>([&](int i) { return i < n ? p[i] : 0.0F; });
}
RAFTER_VEC void store(float* p, F32x16 x) {
    for (int i = 0; i < kLanes; ++i) p[i] = x.lane[i];
}
RAFTER_VEC void store_partial(float* p, F32x16 x, int n) {
    for (int i = 0; i < n; ++i) p[i] = x.lane[i];
}
RAFTER_VEC F32x16 operator+(const F32x16& a, const F32x16& b) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] + b.lane[i]; });
}
RAFTER_VEC F32x16 operator-(const F32x16& a, const F32x16& b) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] - b.lane[i]; });
}
RAFTER_VEC F32x16 operator*(const F32x16& a, const F32x16& b) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] * b.lane[i]; });
}
RAFTER_VEC F32x16 operator/(const F32x16& a, const F32x16& b) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] / b.lane[i]; });
}
// a * b + c, rounded once.
RAFTER_VEC F32x16 fma(const F32x16& a, const F32x16& b, const F32x16& c) {
    return each_lane<F32x16>([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
// Where either is NaN, b: what x86 does.
RAFTER_VEC F32x16 max(const F32x16& a, const F32x16& b) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
RAFTER_VEC F32x16 min(const F32x16& a, const F32x16& b) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
RAFTER_VEC F32x16 sqrt(const F32x16& a) {
    return each_lane<F32x16>([&](int i) { return __builtin_sqrtf(a.lane[i]); });
}
// The nearest whole number, ties to even.
RAFTER_VEC F32x16 round_nearest(const F32x16& a) {
    return each_lane<F32x16>([&](int i) { return __builtin_nearbyintf(a.lane[i]); });
}
// a < b ? x : y, lane by lane; y where a or b is NaN.
RAFTER_VEC F32x16 select_less(const F32x16& a, const F32x16& b, const F32x16& x, const F32x16& y) {
    return each_lane<F32x16>([&](int i) { return a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i]; });
}

// ---- integers
RAFTER_VEC I32x16 broadcast_int(std::int32_t x) {
    return each_lane<I32x16>([&](int) { return x; });
}
RAFTER_VEC I32x16 load(const std::int32_t* p) {
    return each_lane<I32x16>([&](int i) { return p[i]; });
}
RAFTER_VEC void store(std::int32_t* p, const I32x16& x) {
    for (int i = 0; i < kLanes; ++i) p[i] = x.lane[i];
}
// 16 bytes, widened.
RAFTER_VEC I32x16 load_i8(const void* p) {
    return each_lane<I32x16>([&](int i) { return static_cast<std::int32_t>(static_cast<const std::int8_t*>(p)[i]); });
}
RAFTER_VEC I32x16 load_u8(const void* p) {
    return each_lane<I32x16>([&](int i) { return static_cast<const std::uint8_t*>(p)[i]; });
}
// The halves of 8 bytes, widened: the low ones in lanes 0..7, the high ones in lanes 8..15.
RAFTER_VEC I32x16 load_u4(const void* p) {
    return each_lane<I32x16>([&](int i) { return static_cast<const std::uint8_t*>(p)[i % 8] >> (i / 8 * 4) & 15; });
}
// Stores 16 bytes; each lane must be in [-128, 127].
RAFTER_VEC void store_i8(std::int8_t* p, const I32x16& x) {
    for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::int8_t>(x.lane[i]);
}
// Sums wrap around, as the machine's do.
RAFTER_VEC I32x16 operator+(const I32x16& a, const I32x16& b) {
    return each_lane<I32x16>(
        [&](int i) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[i]) + static_cast<std::uint32_t>(b.lane[i])); });
}
RAFTER_VEC I32x16 operator-(const I32x16& a, const I32x16& b) {
    return each_lane<I32x16>(
        [&](int i) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[i]) - static_cast<std::uint32_t>(b.lane[i])); });
}
RAFTER_VEC I32x16 operator&(const I32x16& a, const I32x16& b) {
    return each_lane<I32x16>([&](int i) { return a.lane[i] & b.lane[i]; });
}
RAFTER_VEC I32x16 operator|(const I32x16& a, const I32x16& b) {
    return each_lane<I32x16>([&](int i) { return a.lane[i] | b.lane[i]; });
}
RAFTER_VEC I32x16 max(const I32x16& a, const I32x16& b) {
    return each_lane<I32x16>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
RAFTER_VEC I32x16 min(const I32x16& a, const I32x16& b) {
    return each_lane<I32x16>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
// Shifts by 0..31: left, right with zeros, right with copies of the sign.
template <int kBits>
RAFTER_VEC I32x16 shift_left(const I32x16& a) {
    return each_lane<I32x16>([&](int i) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[i]) << kBits); });
}
template <int kBits>
RAFTER_VEC I32x16 shift_right(const I32x16& a) {
    return each_lane<I32x16>([&](int i) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(a.lane[i]) >> kBits); });
}
template <int kBits>
RAFTER_VEC I32x16 shift_right_signed(const I32x16& a) {
    return each_lane<I32x16>([&](int i) { return a.lane[i] >> kBits; });
}

// ---- between the two
RAFTER_VEC F32x16 to_float(const I32x16& a) {
    return each_lane<F32x16>([&](int i) { return static_cast<float>(a.lane[i]); });
}
// To the nearest, ties to even; each lane's magnitude must be below 2^31.
RAFTER_VEC I32x16 to_int(const F32x16& a) {
    return each_lane<I32x16>([&](int i) { return static_cast<std::int32_t>(__builtin_lrintf(a.lane[i])); });
}
// The same 32 bits, seen as the other type.
RAFTER_VEC F32x16 as_float(const I32x16& a) {
    return each_lane<F32x16>([&](int i) { return __builtin_bit_cast(float, a.lane[i]); });
}
RAFTER_VEC I32x16 as_int(const F32x16& a) {
    return each_lane<I32x16>([&](int i) { return __builtin_bit_cast(std::int32_t, a.lane[i]); });
}

// ---- 16-bit floats in memory; stores round to nearest, ties to even
RAFTER_VEC F32x16 load_f16(const std::uint16_t* p) {
    return each_lane<F32x16>([&](int i) { return tensor::f16_to_f32(p[i]); });
}
RAFTER_VEC F32x16 load_bf16(const std::uint16_t* p) {
    return each_lane<F32x16>([&](int i) { return tensor::bf16_to_f32(p[i]); });
}
RAFTER_VEC void store_f16(std::uint16_t* p, const F32x16& x) {
    for (int i = 0; i < kLanes; ++i) p[i] = tensor::f32_to_f16(x.lane[i]);
}
RAFTER_VEC void store_bf16(std::uint16_t* p, const F32x16& x) {
    for (int i = 0; i < kLanes; ++i) p[i] = tensor::f32_to_bf16(x.lane[i]);
}

// ---- in order: p, but not before x is computed, so that the compiler leaves what is done with p where it stands.
RAFTER_VEC const std::byte* after(const std::byte* p, const F32x16& /*x*/) { return p; }

// ---- over lanes
// Halves are added to halves: lanes i and i + 8, then i + 4, i + 2, i + 1.
RAFTER_VEC float reduce_sum(F32x16 a) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] + a.lane[i + half];
    }
    return a.lane[0];
}
// Of lanes without NaN.
RAFTER_VEC float reduce_max(F32x16 a) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    }
    return a.lane[0];
}
RAFTER_VEC std::int32_t reduce_sum(const I32x16& a) {
    std::uint32_t sum = 0;
    for (int i = 0; i < kLanes; ++i) sum += static_cast<std::uint32_t>(a.lane[i]);
    return static_cast<std::int32_t>(sum);
}
RAFTER_VEC std::int32_t reduce_max(const I32x16& a) {
    std::int32_t found = a.lane[0];
    for (int i = 1; i < kLanes; ++i) found = a.lane[i] > found ? a.lane[i] : found;
    return found;
}

}  // namespace
}  // namespace rafter::backend::cpu

#include "backend/cpu/vec_common.h"
