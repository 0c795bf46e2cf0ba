// exp, tanh and sigmoid of 16 lanes, within 2 units in the last place: the polynomials are minimax fits of our own (relative error 3e-9 for
// exp and 1e-9 for tanh), so what remains is the rounding of their evaluation. Included after a vec header (see vec_scalar.h).
#pragma once

namespace rafter::backend::cpu {
namespace {

// e^x = 2^n * e^r with |r| <= ln(2) / 2, for x from -104, where it is 0, to 89, where it is infinite; NaN stays NaN.
RAFTER_VEC F32x16 exp_within(const F32x16& x) {
    constexpr float kLog2E = 1.44269504F;
    constexpr float kLn2High = 0.693147182F;  // ln 2 rounded to float, and what that leaves
    constexpr float kLn2Low = -1.90465421e-9F;
    const F32x16 n = round_nearest(x * broadcast(kLog2E));
    F32x16 r = fma(n, broadcast(-kLn2High), x);
    r = fma(n, broadcast(-kLn2Low), r);
    F32x16 p = broadcast(0x1.6a2352p-10F);
    p = fma(p, r, broadcast(0x1.123a6cp-7F));
    p = fma(p, r, broadcast(0x1.5558f4p-5F));
    p = fma(p, r, broadcast(0x1.555490p-3F));
    p = fma(p, r, broadcast(0x1.fffffcp-2F));
    p = fma(p, r * r, r) + broadcast(1.0F);
    return times_power_of_two(p, n);
}

// Below -104 it is 0, above 88.73 infinity; subnormal results are right; NaN stays NaN.
RAFTER_VEC F32x16 exp(const F32x16& x) {
    return exp_within(min(broadcast(89.0F), max(broadcast(-104.0F), x)));  // the second operand is what a NaN leaves
}

RAFTER_VEC F32x16 tanh(const F32x16& x) {
    constexpr float kSmall = 0.55F;
    const F32x16 x2 = x * x;
    F32x16 p = broadcast(-0.0062742378F);
    p = fma(p, x2, broadcast(0.021071678F));
    p = fma(p, x2, broadcast(-0.05385231F));
    p = fma(p, x2, broadcast(0.13332586F));
    p = fma(p, x2, broadcast(-0.33333316F));
    const F32x16 small = fma(x * x2, p, x);
    const F32x16 a = abs(x);
    const F32x16 large = broadcast(1.0F) - broadcast(2.0F) / (exp(a + a) + broadcast(1.0F));
    const I32x16 sign = as_int(x) & broadcast_int(-0x7fffffff - 1);
    return as_float(as_int(select_less(a, broadcast(kSmall), small, large)) | sign);  // the sign of -0 too
}

RAFTER_VEC F32x16 sigmoid(const F32x16& x) { return broadcast(1.0F) / (broadcast(1.0F) + exp(-x)); }

}  // namespace
}  // namespace rafter::backend::cpu
