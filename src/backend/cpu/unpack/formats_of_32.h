// Vector code for the formats with blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4. See panel_format.h.
#pragma once

#include "backend/cpu/unpack/panel_format.h"
#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q4_0.h"
#include "tensor/formats/q4_1.h"
#include "tensor/formats/q5_0.h"
#include "tensor/formats/q5_1.h"
#include "tensor/formats/q8_0.h"

namespace rafter::backend::cpu {
namespace {

// A field at byte `offset` of the block begins at 16 times that in 16 interleaved ones.
RAFTER_VEC const std::byte* field(const std::byte* group, int offset) { return group + 16 * offset; }
RAFTER_VEC F32x16 f16_field(const std::byte* group, int offset) {
    return load_f16(reinterpret_cast<const std::uint16_t*>(field(group, offset)));
}

// By how many bits weights whose zero is `zero` are moved up; their scales are divided by as much, which is exact.
constexpr int bits_up(int zero) {
    int bits = 0;
    if (kZeroAt == 0 || zero == 0) return bits;
    while (zero << bits < kZeroAt) ++bits;
    return bits;
}

template <int kUp>
RAFTER_VEC F32x16 moved_down(F32x16 scale) {
    return kUp == 0 ? scale : scale * broadcast(1.0F / (1U << kUp));
}

// Nibbles at kPayload: dword i has elements 4i.. in its low halves and 16 + 4i.. in its high ones, so each is loaded once for two groups.
template <int kPayload, int kUp = 0>
struct NibblesOf32 {
    const std::byte* block;
    int outer, inner;  // always 0: one step a block
    static constexpr int group(int i) { return i / 2 + i % 2 * 4; }
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
        return shift(load_bytes(field(block, kPayload) + 64 * (t % 4)), (t < 4 ? 0 : 4) - kUp) & broadcast_bytes(15U << kUp);
    }
};

// With the fifth bits of group t in bit t of each byte of the dword at kFifth.
template <int kFifth, int kPayload, int kUp = 0>
struct FiveBitsOf32 {
    const std::byte* block;
    int outer, inner;  // always 0: one step a block
    static constexpr int group(int i) { return NibblesOf32<kPayload>::group(i); }
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const {
        const Bytes fifth = shift(load_bytes(field(block, kFifth)), t - 4 - kUp) & broadcast_bytes(16U << kUp);
        return NibblesOf32<kPayload, kUp>{block, 0, 0}.get(t) | fifth;
    }
};

template <int kPayload>
struct BytesOf32 {
    const std::byte* block;
    int outer, inner;  // always 0: one step a block
    static constexpr int group(int i) { return i; }
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const { return raise(load_bytes(field(block, kPayload) + 64 * t)); }
};

// Nibbles that are indices into a table of 16, raised so that signed values fit.
struct Table16 {
    std::int8_t values[16];
};
constexpr Table16 raised_table(const std::int8_t* values, int by) {
    Table16 raised{};
    for (int i = 0; i < 16; ++i) raised.values[i] = static_cast<std::int8_t>(values[i] + by);
    return raised;
}
template <const Table16& kTable, int kPayload>
struct TableOf32 {
    const std::byte* block;
    int outer, inner;  // always 0: one step a block
    static constexpr int group(int i) { return NibblesOf32<kPayload>::group(i); }
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const { return look_up(kTable.values, NibblesOf32<kPayload>{block, 0, 0}.get(t)); }
};

// kMax: the largest of the unsigned weights and kZero their zero; 0: they are signed.
template <typename AnyFormat, int kMax, int kZero>
struct VectorPanelFormat {
    using Format = AnyFormat;
    static constexpr int kUp = bits_up(kZero);
    static constexpr int kMaxWeight = kMax > 0 ? kMax << kUp : kZeroAt > 0 ? 255 : 0;
    static constexpr int kOffset = kMax > 0 ? kZero << kUp : kZeroAt;
    static constexpr bool kIsGeneric = false;
    static constexpr int kPeriod = 1;
};

template <typename Format, int kMax, int kZero>
struct ScaledPanel : VectorPanelFormat<Format, kMax, kZero> {
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* min) {
        scale[0] = moved_down<bits_up(kZero)>(f16_field(group, 0));
        if constexpr (Format::kHasMin) min[0] = -f16_field(group, 2);
    }
};

struct PanelQ4_0 : ScaledPanel<tensor::Q4_0, 15, 8> {
    using Weights = NibblesOf32<2, kUp>;
};
struct PanelQ4_1 : ScaledPanel<tensor::Q4_1, 15, 0> {
    using Weights = NibblesOf32<4>;
};
struct PanelQ5_0 : ScaledPanel<tensor::Q5_0, 31, 16> {
    using Weights = FiveBitsOf32<2, 6, kUp>;
};
struct PanelQ5_1 : ScaledPanel<tensor::Q5_1, 31, 0> {
    using Weights = FiveBitsOf32<4, 8>;
};
struct PanelQ8_0 : ScaledPanel<tensor::Q8_0, 0, 0> {
    using Weights = BytesOf32<2>;
};

constexpr Table16 kTableIQ4_NL = raised_table(tensor::IQ4_NL::kValues, kZeroAt);
struct PanelIQ4_NL : ScaledPanel<tensor::IQ4_NL, 0, 0> {
    using Weights = TableOf32<kTableIQ4_NL, 2>;
};

// The values lie within -12..12: raised by 16 they are small unsigned bytes, which AVX2 multiplies faster than signed ones.
constexpr int kRaiseMXFP4 = kZeroAt > 0 ? kZeroAt : 16;
constexpr Table16 kTableMXFP4 = raised_table(tensor::MXFP4::kValues, kRaiseMXFP4);
struct PanelMXFP4 : VectorPanelFormat<tensor::MXFP4, kRaiseMXFP4 + 12, kRaiseMXFP4> {
    // 2^(e - 128): the exponent's bits, or a subnormal's for e = 0 and 1, where they are larger.
    RAFTER_VEC static void scales(const std::byte* group, F32x16* scale, F32x16* /*min*/) {
        const I32x16 e = load_u8(group);
        const I32x16 one = broadcast_int(1);
        scale[0] = as_float(max(shift_left<23>(e - one), shift_left<21>(e + one)));
    }
    using Weights = TableOf32<kTableMXFP4, 1>;
};

template <>
struct PanelFormatOf<tensor::Q4_0> {
    using Type = PanelQ4_0;
};
template <>
struct PanelFormatOf<tensor::Q4_1> {
    using Type = PanelQ4_1;
};
template <>
struct PanelFormatOf<tensor::Q5_0> {
    using Type = PanelQ5_0;
};
template <>
struct PanelFormatOf<tensor::Q5_1> {
    using Type = PanelQ5_1;
};
template <>
struct PanelFormatOf<tensor::Q8_0> {
    using Type = PanelQ8_0;
};
template <>
struct PanelFormatOf<tensor::IQ4_NL> {
    using Type = PanelIQ4_NL;
};
template <>
struct PanelFormatOf<tensor::MXFP4> {
    using Type = PanelMXFP4;
};

}  // namespace
}  // namespace rafter::backend::cpu
