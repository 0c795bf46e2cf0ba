// What all three vec headers have in common, on top of their own operations. They include it; nobody else need.
#pragma once

#include <cstdint>

namespace rafter::backend::cpu {
namespace {

RAFTER_VEC F32x16 zero() { return broadcast(0.0F); }
RAFTER_VEC F32x16 abs(const F32x16& a) { return as_float(as_int(a) & broadcast_int(0x7fffffff)); }
RAFTER_VEC F32x16 operator-(const F32x16& a) { return broadcast(-0.0F) - a; }

// x * 2^n, rounded once, for whole n of -252 to 254 and x of 1 to 2 or so; NaN stays NaN. AVX-512 has an instruction of its own: a function
// that is no template is taken first.
template <typename Float>
RAFTER_VEC Float times_power_of_two(const Float& x, const Float& n) {
    // In two factors, because 2^n alone is out of range for the largest and for subnormal results.
    const auto exponent = to_int(n);
    const auto half = shift_right_signed<1>(exponent);
    const auto rest = exponent - half;
    const auto bias = broadcast_int(127);
    return x * as_float(shift_left<23>(half + bias)) * as_float(shift_left<23>(rest + bias));
}

// Partial loads and stores of 16-bit floats: 0 < n < 16.
RAFTER_VEC F32x16 load_f16_partial(const std::uint16_t* p, int n) {
    std::uint16_t whole[16] = {};
    for (int i = 0; i < n; ++i) whole[i] = p[i];
    return load_f16(whole);
}
RAFTER_VEC F32x16 load_bf16_partial(const std::uint16_t* p, int n) {
    std::uint16_t whole[16] = {};
    for (int i = 0; i < n; ++i) whole[i] = p[i];
    return load_bf16(whole);
}
RAFTER_VEC void store_f16_partial(std::uint16_t* p, const F32x16& x, int n) {
    std::uint16_t whole[16];
    store_f16(whole, x);
    for (int i = 0; i < n; ++i) p[i] = whole[i];
}
RAFTER_VEC void store_bf16_partial(std::uint16_t* p, const F32x16& x, int n) {
    std::uint16_t whole[16];
    store_bf16(whole, x);
    for (int i = 0; i < n; ++i) p[i] = whole[i];
}

// Asks for the line at p; any address will do.
RAFTER_VEC void prefetch(const void* p) { __builtin_prefetch(p); }
RAFTER_VEC void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }  // no nearer than L2

}  // namespace
}  // namespace rafter::backend::cpu
