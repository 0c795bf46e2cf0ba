// f16 and bf16 to f32 and back: bit for bit what the hardware does, in integer arithmetic, so whatever the flush-to-zero mode is.
// This header and those in formats/ are included in files compiled for one instruction set. An inline function with external linkage could
// then be the copy that the linker keeps for the whole program, and a machine without that instruction set would crash in it. So everything
// here has internal linkage (an unnamed namespace, which member functions need too) and calls nothing from std.
#pragma once

#include <cstdint>

namespace rafter::tensor {
namespace {

// IEEE 754 binary16, https://doi.org/10.1109/IEEESTD.2019.8766229. A NaN keeps the top of its payload and becomes quiet.
[[maybe_unused]] constexpr float f16_to_f32(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16;
    const std::uint32_t exponent = (half >> 10) & 31u;
    const std::uint32_t mantissa = half & 0x3ffu;
    std::uint32_t magnitude = 0;
    if (exponent == 31) {
        magnitude = 0x7f800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0u);
    } else if (exponent != 0) {
        magnitude = (exponent + 112) << 23 | mantissa << 13;  // the bias goes from 15 to 127
    } else if (mantissa != 0) {
        const auto shift =
            static_cast<std::uint32_t>(__builtin_clz(mantissa)) - 21;  // brings the leading one to bit 10, where it is implied
        magnitude = (113 - shift) << 23 | ((mantissa << shift) & 0x3ffu) << 13;
    }
    return __builtin_bit_cast(float, sign | magnitude);
}

// Rounds to nearest, ties to even; what is 65520 or more becomes infinity.
[[maybe_unused]] constexpr std::uint16_t f32_to_f16(float value) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    std::uint32_t half = 0;
    if (magnitude > 0x7f800000u) {  // NaN
        half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    } else if (magnitude >= 0x477ff000u) {  // 65520: halfway to what would be 65536
        half = 0x7c00u;
    } else if (magnitude >= 0x38800000u) {  // 2^-14: normal
        half = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    } else if (magnitude > 0x33000000u) {  // 2^-25, half of the smallest subnormal, goes to zero
        const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
        const std::uint32_t shift = 126 - (magnitude >> 23);  // 14..24
        const std::uint32_t rest = mantissa & ((1u << shift) - 1);
        const std::uint32_t tie = 1u << (shift - 1);
        half = mantissa >> shift;
        half += (rest > tie || (rest == tie && (half & 1u) != 0)) ? 1u : 0u;
    }
    return static_cast<std::uint16_t>(sign | half);
}

[[maybe_unused]] constexpr float bf16_to_f32(std::uint16_t brain) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(brain) << 16);
}

// Rounds to nearest, ties to even; a NaN becomes quiet.
[[maybe_unused]] constexpr std::uint16_t f32_to_bf16(float value) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace
}  // namespace rafter::tensor
