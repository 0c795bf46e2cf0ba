// The two inner loops of attention for quantised tiles (kv_store.h): integers become floats once for all queries, and the rest is as for
// tiles of floats. Included by attention_kernels.h.
#pragma once

#include "backend/cpu/attention.h"
#include "backend/cpu/vec_math.h"

namespace rafter::backend::cpu {
namespace {

template <KvType kType>
RAFTER_VEC F32x16 scaled(const I32x16& integers, const F32x16& scale, const F32x16& minimum) {
    if constexpr (kType == KvType::kQ8) return to_float(integers) * scale;
    if constexpr (kType == KvType::kQ4) return fma(to_float(integers), scale, minimum);
}

// 16 scales or minimums.
RAFTER_VEC F32x16 load_scales(const std::byte* at) { return load_f16(reinterpret_cast<const std::uint16_t*>(at)); }
constexpr std::size_t kMinimumsOffset = kTilePositions * sizeof(std::uint16_t);

// As score_tiles(): prefetches two lines at `soon` for each line of a tile that it reads.
template <KvType kType, int kQueries, int kTiles>
void score_quantized_tiles(const float* queries, const std::byte* const* tiles, const std::byte* const (&soon)[kTiles][2],
                           std::uint32_t head_dim, float scale, float* scores) {
    constexpr std::uint32_t kLineElements = kType == KvType::kQ8 ? 4 : 8;
    F32x16 sum[kQueries][kTiles];
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int t = 0; t < kTiles; ++t) sum[q][t] = zero();
    }
    const auto add = [&](int t, std::uint32_t d, const F32x16& key) {
        for (int q = 0; q < kQueries; ++q) sum[q][t] = fma(broadcast(queries[d * kMaxQueries + q]), key, sum[q][t]);
    };
    std::size_t group = 0;
    for (std::uint32_t d = 0; d < head_dim; group += kv_group_bytes(kType)) {
        const std::uint32_t end = head_dim - d < kKvGroup ? head_dim : d + static_cast<std::uint32_t>(kKvGroup);
        F32x16 step[kTiles];
        F32x16 minimum[kTiles];
        for (int t = 0; t < kTiles; ++t) {
            step[t] = load_scales(tiles[t] + group);
            minimum[t] = kType == KvType::kQ4 ? load_scales(tiles[t] + group + kMinimumsOffset) : zero();
        }
        std::size_t at = group + kv_integers_offset(kType);
        while (d < end) {
            for (int t = 0; t < kTiles; ++t) {
                if (soon[t][0] != nullptr) prefetch(soon[t][0] + at);
                prefetch_far(soon[t][1] + at);
            }
            const std::uint32_t line_end = end - d < kLineElements ? end : d + kLineElements;
            if constexpr (kType == KvType::kQ8) {
                for (; d < line_end; ++d, at += kTilePositions) {
                    for (int t = 0; t < kTiles; ++t) add(t, d, scaled<kType>(load_i8(tiles[t] + at), step[t], minimum[t]));
                }
            } else {
                for (; d < line_end; d += 2, at += kTilePositions) {
                    for (int t = 0; t < kTiles; ++t) {
                        const I32x16 pair = load_u8(tiles[t] + at);
                        add(t, d, scaled<kType>(pair & broadcast_int(15), step[t], minimum[t]));
                        if (d + 1 < end) add(t, d + 1, scaled<kType>(shift_right<4>(pair), step[t], minimum[t]));
                    }
                }
                d = d < end ? d : end;  // an odd head's last pair has one element
            }
        }
    }
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int t = 0; t < kTiles; ++t) store(scores + q * kPiecePositions + t * kTilePositions, sum[q][t] * broadcast(scale));
    }
}

// As add_chunks(). Several chunks begin with an even one.
template <KvType kType, int kQueries, int kChunks>
void add_quantized_chunks(const AttentionPiece& piece, const float* weights, std::size_t chunk, std::uint32_t begin, std::uint32_t end,
                          float* out) {
    const std::size_t stride = state_floats(piece.head_dim);
    constexpr int kGroups = (kChunks + 1) / 2;
    constexpr std::size_t kRowBytes = kv_chunk_bytes(kType) / kTilePositions;
    F32x16 sum[kQueries][kChunks];
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int c = 0; c < kChunks; ++c) sum[q][c] = load(out + q * stride + (chunk + c) * 16);
    }
    for (std::uint32_t p = begin; p < end;) {
        const std::uint32_t tile = p / kTilePositions;
        const std::uint32_t tile_end = (tile + 1) * kTilePositions < end ? (tile + 1) * kTilePositions : end;
        const std::byte* const groups = piece.values[tile] + chunk / 2 * kv_group_bytes(kType);
        if (const std::byte* const next = piece.next_keys[tile]; next != nullptr && p % kTilePositions == 0) {
            for (std::size_t line = 0; line < kGroups * kv_group_bytes(kType); line += 64)
                prefetch_far(next + chunk / 2 * kv_group_bytes(kType) + line);
        }
        float step[kGroups][kTilePositions];
        float minimum[kGroups][kTilePositions];
        for (int g = 0; g < kGroups; ++g) {
            store(step[g], load_scales(groups + g * kv_group_bytes(kType)));
            if constexpr (kType == KvType::kQ4) store(minimum[g], load_scales(groups + g * kv_group_bytes(kType) + kMinimumsOffset));
        }
        const std::byte* const first = groups + kv_integers_offset(kType) + chunk % 2 * kv_chunk_bytes(kType);
        for (; p < tile_end; ++p) {
            const std::uint32_t lane = p % kTilePositions;
            for (int c = 0; c < kChunks; ++c) {
                const int g = c / 2;
                const std::byte* const row = first + g * kv_group_bytes(kType) + c % 2 * kv_chunk_bytes(kType) + lane * kRowBytes;
                F32x16 value;
                if constexpr (kType == KvType::kQ8) {
                    value = scaled<kType>(load_i8(row), broadcast(step[g][lane]), zero());
                } else {
                    value = scaled<kType>(load_u4(row), broadcast(step[g][lane]), broadcast(minimum[g][lane]));
                }
                for (int q = 0; q < kQueries; ++q) sum[q][c] = fma(broadcast(weights[q * kPiecePositions + p]), value, sum[q][c]);
            }
        }
    }
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int c = 0; c < kChunks; ++c) store(out + q * stride + (chunk + c) * 16, sum[q][c]);
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
