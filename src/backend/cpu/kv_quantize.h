// Quantising a head's key or value into its place in a tile (kv_store.h). Included after a vec header, in files compiled for one
// instruction set.
#pragma once

#include "backend/cpu/kv_store.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::uint16_t kF16Infinity = 0x7c00;
constexpr std::uint16_t kF16Nan = 0x7e00;

struct KvGroup {
    std::uint16_t scale = 0;
    std::uint16_t minimum = 0;
    std::int8_t integers[kKvGroup] = {};
};

struct F16 {
    std::uint16_t bits;
    float value;
};
RAFTER_VEC F16 to_f16(float x) {
    std::uint16_t bits[16];
    float value[16];
    store_f16(bits, broadcast(x));
    store(value, load_f16(bits));
    return {bits[0], value[0]};
}
RAFTER_VEC float from_f16(std::uint16_t bits) {
    std::uint16_t all[16];
    for (std::uint16_t& b : all) b = bits;
    float value[16];
    store(value, load_f16(all));
    return value[0];
}
// The next F16 that is not below x >= 0, and the next that is not above x.
RAFTER_VEC std::uint16_t f16_not_below(float x) {
    const F16 nearest = to_f16(x);
    return static_cast<std::uint16_t>(nearest.value < x ? nearest.bits + 1 : nearest.bits);
}
RAFTER_VEC std::uint16_t f16_not_above(float x) {
    const F16 nearest = to_f16(x);
    if (!(nearest.value > x)) return nearest.bits;
    return static_cast<std::uint16_t>(nearest.value > 0.0F ? nearest.bits - 1 : nearest.bits + 1);
}

// x[32]. Scales are rounded up and minimums down, so that all elements are in reach: q is then at most 127 or 15 in magnitude.
KvGroup quantize_group(const float* x, KvType type) {
    KvGroup group;
    const F32x16 part[2] = {load(x), load(x + 16)};
    const I32x16 magnitude = broadcast_int(0x7fffffff);
    const std::int32_t largest_bits = reduce_max(max(as_int(part[0]) & magnitude, as_int(part[1]) & magnitude));
    group.scale = kF16Nan;
    if (largest_bits >= 0x7f800000) return group;
    float least = 0.0F;
    float step;
    if (type == KvType::kQ8) {
        step = __builtin_bit_cast(float, largest_bits) / 127.0F;
    } else {
        const std::uint16_t minimum = f16_not_above(-reduce_max(max(-part[0], -part[1])));
        if ((minimum & kF16Infinity) == kF16Infinity) return group;
        group.minimum = minimum;
        least = from_f16(minimum);
        step = (reduce_max(max(part[0], part[1])) - least) / 15.0F;
    }
    const std::uint16_t scale = f16_not_below(step);
    if (scale >= kF16Infinity) return group;
    group.scale = scale;
    if (scale == 0) return group;
    const F32x16 divisor = broadcast(from_f16(scale));
    for (int i = 0; i < 2; ++i) store_i8(group.integers + 16 * i, to_int((part[i] - broadcast(least)) / divisor));
    return group;
}

// What is missing of the last group is filled with its first element, which changes neither scale nor minimum.
KvGroup quantize_partial_group(const float* x, std::size_t n, KvType type) {
    if (n >= kKvGroup) return quantize_group(x, type);
    float whole[kKvGroup];
    for (std::size_t i = 0; i < kKvGroup; ++i) whole[i] = i < n ? x[i] : x[0];
    return quantize_group(whole, type);
}

void put_scales(const KvGroup& group, KvType type, std::size_t lane, std::byte* at) {
    reinterpret_cast<std::uint16_t*>(at)[lane] = group.scale;
    if (type == KvType::kQ4) reinterpret_cast<std::uint16_t*>(at)[kTilePositions + lane] = group.minimum;
}

void store_quantized_key(const float* key, std::size_t head_dim, KvType type, std::size_t lane, std::byte* tile) {
    for (std::size_t d = 0; d < head_dim; d += kKvGroup, tile += kv_group_bytes(type)) {
        const std::size_t n = head_dim - d < kKvGroup ? head_dim - d : kKvGroup;
        const KvGroup group = quantize_partial_group(key + d, n, type);
        put_scales(group, type, lane, tile);
        std::byte* const integers = tile + kv_integers_offset(type) + lane;
        if (type == KvType::kQ8) {
            for (std::size_t i = 0; i < n; ++i) integers[i * kTilePositions] = static_cast<std::byte>(group.integers[i]);
        } else {
            for (std::size_t i = 0; i < n; i += 2) {
                integers[i / 2 * kTilePositions] = static_cast<std::byte>(group.integers[i] | group.integers[i + 1] << 4);
            }
        }
    }
}

void store_quantized_value(const float* value, std::size_t head_dim, KvType type, std::size_t lane, std::byte* tile) {
    for (std::size_t d = 0; d < head_dim; d += kKvGroup, tile += kv_group_bytes(type)) {
        const std::size_t n = head_dim - d < kKvGroup ? head_dim - d : kKvGroup;
        const KvGroup group = quantize_partial_group(value + d, n, type);
        put_scales(group, type, lane, tile);
        const std::size_t row_bytes = kv_chunk_bytes(type) / kTilePositions;
        for (std::size_t i = 0; i < n; i += 16) {
            std::byte* const to = tile + kv_integers_offset(type) + i / 16 * kv_chunk_bytes(type) + lane * row_bytes;
            const std::int8_t* const integers = group.integers + i;
            if (type == KvType::kQ8) {
                __builtin_memcpy(to, integers, 16);
            } else {
                for (std::size_t b = 0; b < 8; ++b) to[b] = static_cast<std::byte>(integers[b] | integers[b + 8] << 4);
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
