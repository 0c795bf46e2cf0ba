// Vector code for the formats with blocks of 256: Q2_K to Q6_K and IQ4_XS. See panel_format.h.
#pragma once

#include "backend/cpu/unpack/formats_of_32.h"
#include "tensor/formats/iq4_xs.h"
#include "tensor/formats/q2_k.h"
#include "tensor/formats/q3_k.h"
#include "tensor/formats/q4_k.h"
#include "tensor/formats/q5_k.h"
#include "tensor/formats/q6_k.h"

namespace rafter::backend::cpu {
namespace {

// Offsets are those of packed_layout.h: bytes of fields that lie before.

// Byte `index` of an array of bytes that begins at byte `offset`, of 16 rows.
RAFTER_VEC I32x16 u8_field(const std::byte* group, int offset, int index) { return load_u8(field(group, offset + index)); }
RAFTER_VEC F32x16 scaled(F32x16 d, I32x16 integer) { return d * to_float(integer); }

// ---- Q4_K, Q5_K: low halves of 32 bytes are one step, high halves the next.

// Sub-blocks 0..3 have six whole bits in bytes s and s + 4; the others four in byte s + 4 and two at the top of bytes s - 4 and s.
RAFTER_VEC void packed_scales(const std::byte* group, int offset, F32x16 d, F32x16 dmin, F32x16* scale, F32x16* min) {
    const I32x16 six = broadcast_int(63);
    const I32x16 four = broadcast_int(15);
    const I32x16 top = broadcast_int(0x30);
    for (int s = 0; s < 4; ++s) {
        const I32x16 a = u8_field(group, offset, s);
        const I32x16 b = u8_field(group, offset, s + 4);
        const I32x16 c = u8_field(group, offset, s + 8);
        scale[s] = scaled(d, a & six);
        min[s] = scaled(dmin, b & six);
        scale[s + 4] = scaled(d, (c & four) | (shift_right<2>(a) & top));
        min[s + 4] = scaled(dmin, shift_right<4>(c) | (shift_right<2>(b) & top));
    }
}

template <int kPayload>
struct NibblesOf64 {
    static constexpr int group(int i) { return i; }
    const std::byte* block;
    int outer, inner;
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
        return shift(load_bytes(field(block, kPayload + 32 * outer) + 64 * t), 4 * inner) & broadcast_bytes(15);
    }
};

struct PanelQ4_K : VectorPanelFormat<tensor::Q4_K, 15, 0> {
    static constexpr int kPeriod = 2;
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* min) {
        packed_scales(group, 4, f16_field(group, 0), f16_field(group, 2), scale, min);
    }
    using Weights = NibblesOf64<16>;
};

struct PanelQ5_K : VectorPanelFormat<tensor::Q5_K, 31, 0> {
    static constexpr int kPeriod = 2;
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* min) {
        packed_scales(group, 4, f16_field(group, 0), f16_field(group, 2), scale, min);
    }
    struct Weights {
        static constexpr int group(int i) { return i; }
        const std::byte* block;
        int outer, inner;
        [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
            const Bytes fifth = shift(shift(load_bytes(field(block, 16) + 64 * t), 2 * outer), inner - 4) & broadcast_bytes(16);
            return NibblesOf64<48>{block, outer, inner}.get(t) | fifth;
        }
    };
};

// ---- Q2_K, Q3_K: 32 bytes hold four steps, two bits each.

template <int kPayload, int kUp = 0>
struct PairsOf128 {
    static constexpr int group(int i) { return i; }
    const std::byte* block;
    int outer, inner;
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
        return shift(load_bytes(field(block, kPayload + 32 * outer) + 64 * t), 2 * inner - kUp) & broadcast_bytes(3U << kUp);
    }
};

struct PanelQ2_K : VectorPanelFormat<tensor::Q2_K, 3, 0> {
    static constexpr int kPeriod = 4;
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* min) {
        const F32x16 d = f16_field(group, 0);
        const F32x16 dmin = f16_field(group, 2);
        for (int s = 0; s < 16; ++s) {
            const I32x16 both = u8_field(group, 4, s);
            scale[s] = scaled(d, both & broadcast_int(15));
            min[s] = scaled(dmin, shift_right<4>(both));
        }
    }
    using Weights = PairsOf128<20>;
};

struct PanelQ3_K : VectorPanelFormat<tensor::Q3_K, 7, 4> {
    static constexpr int kPeriod = 4;
    // Four low bits of scale s in byte s % 8, two high ones in byte 8 + s % 4.
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* /*min*/) {
        const F32x16 d = moved_down<kUp>(f16_field(group, 0));
        const I32x16 four = broadcast_int(15);
        const I32x16 top = broadcast_int(0x30);
        const I32x16 zero_at = broadcast_int(32);
        for (int s = 0; s < 4; ++s) {
            const I32x16 a = u8_field(group, 2, s);
            const I32x16 b = u8_field(group, 2, s + 4);
            const I32x16 high = u8_field(group, 2, s + 8);
            scale[s] = scaled(d, ((a & four) | (shift_left<4>(high) & top)) - zero_at);
            scale[s + 4] = scaled(d, ((b & four) | (shift_left<2>(high) & top)) - zero_at);
            scale[s + 8] = scaled(d, (shift_right<4>(a) | (high & top)) - zero_at);
            scale[s + 12] = scaled(d, (shift_right<4>(b) | (shift_right<2>(high) & top)) - zero_at);
        }
    }
    struct Weights {
        static constexpr int group(int i) { return i; }
        const std::byte* block;
        int outer, inner;
        [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
            const Bytes third =
                shift(shift(load_bytes(field(block, 14) + 64 * t), 4 * outer), inner - 2 - kUp) & broadcast_bytes(4U << kUp);
            return PairsOf128<46, kUp>{block, outer, inner}.get(t) | third;
        }
    };
};

// ---- Q6_K: of each 128, the low halves of 64 bytes are steps 0 and 1, the high ones 2 and 3; two more bits as in Q2_K.

struct PanelQ6_K : VectorPanelFormat<tensor::Q6_K, 63, 32> {
    static constexpr int kPeriod = 4;
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* /*min*/) {
        const F32x16 d = moved_down<kUp>(f16_field(group, 0));
        for (int s = 0; s < 16; ++s) scale[s] = scaled(d, load_i8(field(group, 2 + s)));
    }
    struct Weights {
        static constexpr int group(int i) { return i; }
        const std::byte* block;
        int outer, inner;
        [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
            const Bytes bytes = load_bytes(field(block, 18 + 96 * outer + 64 * (inner % 2)) + 64 * t);
            const Bytes low = shift(bytes, inner / 2 * 4 - kUp) & broadcast_bytes(15U << kUp);
            const Bytes high =
                shift(load_bytes(field(block, 50 + 96 * outer) + 64 * t), 2 * inner - 4 - kUp) & broadcast_bytes(0x30U << kUp);
            return low | high;
        }
    };
};

// ---- IQ4_XS: eight blocks of IQ4_NL with six-bit scales.

struct PanelIQ4_XS : VectorPanelFormat<tensor::IQ4_XS, 0, 0> {
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* /*min*/) {
        const F32x16 d = f16_field(group, 0);
        const I32x16 four = broadcast_int(15);
        const I32x16 top = broadcast_int(0x30);
        const I32x16 zero_at = broadcast_int(32);
        for (int half = 0; half < 2; ++half) {
            const I32x16 high = u8_field(group, 2, half);
            const I32x16 a = u8_field(group, 4, 2 * half);
            const I32x16 b = u8_field(group, 4, 2 * half + 1);
            scale[4 * half] = scaled(d, ((a & four) | (shift_left<4>(high) & top)) - zero_at);
            scale[4 * half + 1] = scaled(d, (shift_right<4>(a) | (shift_left<2>(high) & top)) - zero_at);
            scale[4 * half + 2] = scaled(d, ((b & four) | (high & top)) - zero_at);
            scale[4 * half + 3] = scaled(d, (shift_right<4>(b) | (shift_right<2>(high) & top)) - zero_at);
        }
    }
    struct Weights {
        const std::byte* block;
        int outer, inner;
        static constexpr int group(int i) { return TableOf32<kTableIQ4_NL, 8>::group(i); }
        [[nodiscard]] RAFTER_VEC Bytes get(int t) const { return TableOf32<kTableIQ4_NL, 8>{field(block, 16 * outer), 0, 0}.get(t); }
    };
};

template <>
struct PanelFormatOf<tensor::Q2_K> {
    using Type = PanelQ2_K;
};
template <>
struct PanelFormatOf<tensor::Q3_K> {
    using Type = PanelQ3_K;
};
template <>
struct PanelFormatOf<tensor::Q4_K> {
    using Type = PanelQ4_K;
};
template <>
struct PanelFormatOf<tensor::Q5_K> {
    using Type = PanelQ5_K;
};
template <>
struct PanelFormatOf<tensor::Q6_K> {
    using Type = PanelQ6_K;
};
template <>
struct PanelFormatOf<tensor::IQ4_XS> {
    using Type = PanelIQ4_XS;
};

}  // namespace
}  // namespace rafter::backend::cpu
