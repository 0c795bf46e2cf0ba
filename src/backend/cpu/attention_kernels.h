// Attention's kernels, written once for all instruction sets: included after a vec header (see vec_scalar.h), kVectors and kTogether.
// Cost a piece, query and element of a head: 256 multiply-adds for scores and as many for values. A tile of keys or values is widened to
// float once for up to kTogether queries.
#pragma once

#include "backend/cpu/attention.h"
#include "backend/cpu/attention_quantized.h"
#include "backend/cpu/unroll.h"
#include "backend/cpu/vec_math.h"

namespace rafter::backend::cpu {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();

template <KvType kType>
RAFTER_VEC F32x16 load_elements(const std::byte* tile, std::size_t first) {
    if constexpr (kType == KvType::kF32) return load(reinterpret_cast<const float*>(tile) + first);
    if constexpr (kType == KvType::kF16) return load_f16(reinterpret_cast<const std::uint16_t*>(tile) + first);
    if constexpr (kType == KvType::kBF16) return load_bf16(reinterpret_cast<const std::uint16_t*>(tile) + first);
}

// Asks for the lines that begin in part `part` of what `first` points to, of kBytes each.
template <std::size_t kBytes>
RAFTER_VEC void prefetch_part(const std::byte* first, std::uint32_t part) {
    if constexpr (kBytes >= 64) {
        for (std::size_t line = 0; line < kBytes; line += 64) prefetch_far(first + part * kBytes + line);
    } else if (part * kBytes % 64 == 0) {
        prefetch_far(first + part * kBytes);
    }
}

// How many tiles of keys, or chunks of values, a loop takes at once: enough sums to hide the latency of a multiply-add, as many as the
// registers hold beside the tiles' vectors and a query's number.
constexpr int side_by_side(int n_queries) {
    const int n = n_queries == 1 ? kVectors - 2 : (kVectors - 1) / (n_queries + 1);
    return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

// sum[q][t] += factor(q) * vector(t): one query takes the vectors as they come; more have them all in registers, and one factor after the
// other.
template <int kQueries, int kVectorsEach, typename Factor, typename Vector>
RAFTER_VEC void add_products(const Factor& factor, const Vector& vector, F32x16 (&sum)[kQueries][kVectorsEach]) {
    if constexpr (kQueries == 1) {
        const F32x16 only = factor(0);
        for (int t = 0; t < kVectorsEach; ++t) sum[0][t] = fma(only, vector(t), sum[0][t]);
    } else {
        F32x16 vectors[kVectorsEach];
        for (int t = 0; t < kVectorsEach; ++t) vectors[t] = vector(t);
#pragma GCC unroll 16
        for (int q = 0; q < kQueries; ++q) {
            const F32x16 each = factor(q);
            for (int t = 0; t < kVectorsEach; ++t) sum[q][t] = fma(each, vectors[t], sum[q][t]);
        }
    }
}

// scores[q][t * 16 + lane] = scale * (query q . key of that position), summed in order of element. Meanwhile it asks for the memory at
// `soon`, the next keys (null: they come already) and the values of a tile: tiles lie scattered in 2 KiB or so, too short for the CPU to
// foresee. (64 bytes an element is the most.)
template <KvType kType, int kQueries, int kTiles>
void score_float_tiles(const float* queries, const std::byte* const* tiles, const std::byte* const (&soon)[kTiles][2],
                       std::uint32_t head_dim, float scale, float* scores) {
    constexpr std::size_t kElementBytes = kType == KvType::kF32 ? 64 : 32;
    F32x16 sum[kQueries][kTiles];
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int t = 0; t < kTiles; ++t) sum[q][t] = zero();
    }
    for (std::size_t d = 0; d < head_dim; ++d, queries += kMaxQueries) {
        for (int t = 0; t < kTiles; ++t) {
            if (soon[t][0] != nullptr) prefetch(soon[t][0] + d * kElementBytes);
            prefetch_far(soon[t][1] + d * kElementBytes);
        }
        add_products<kQueries, kTiles>([&](int q) { return broadcast(queries[q]); },
                                       [&](int t) { return load_elements<kType>(tiles[t], d * kTilePositions); }, sum);
    }
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int t = 0; t < kTiles; ++t) store(scores + q * kPiecePositions + t * kTilePositions, sum[q][t] * broadcast(scale));
    }
}

template <KvType kType, int kQueries, int kTiles>
void score_tiles(const float* queries, const std::byte* const* tiles, const std::byte* const (&soon)[kTiles][2], std::uint32_t head_dim,
                 float scale, float* scores) {
    if constexpr (is_quantized(kType)) {
        return score_quantized_tiles<kType, kQueries, kTiles>(queries, tiles, soon, head_dim, scale, scores);
    } else {
        return score_float_tiles<kType, kQueries, kTiles>(queries, tiles, soon, head_dim, scale, scores);
    }
}

// Tiles [t, last) for kQueries queries.
template <KvType kType, int kQueries, int kTiles = side_by_side(kQueries)>
void score_range(const AttentionPiece& piece, std::uint32_t first_query, std::uint32_t t, std::uint32_t last, float* scores) {
    const float* const queries = piece.queries + first_query;
    float* row = scores + first_query * kPiecePositions;
    for (; t + kTiles <= last; t += kTiles) {
        // The keys that come next, and the values of these positions.
        const std::byte* soon[kTiles][2];
        for (std::uint32_t i = 0; i < kTiles; ++i) {
            soon[i][0] = !piece.keys_prefetched && t + i + kTiles < last ? piece.keys[t + i + kTiles] : nullptr;
            soon[i][1] = piece.values[t + i];
        }
        score_tiles<kType, kQueries, kTiles>(queries, piece.keys + t, soon, piece.head_dim, piece.scale, row + t * kTilePositions);
    }
    if constexpr (kTiles > 1) score_range<kType, kQueries, kTiles / 2>(piece, first_query, t, last, scores);
}

// e^x of a score's distance to the largest one, whose weight is 1; 0 below about 2^-100, which no sum of them all could tell from it:
// products with values are never subnormal numbers, which take some CPUs a hundred times as long.
RAFTER_VEC F32x16 weight_of(F32x16 x) {
    const F32x16 least = broadcast(-69.0F);
    return select_less(x, least, zero(), exp_within(max(least, x)));
}

// Turns the scores of positions [begin, end) into weights e^(score - max); lanes of the first and last tile outside of it become 0.
void weigh(std::size_t begin, std::size_t end, float softcap, float* scores, float* max_score, float* sum_of_weights) {
    const std::size_t first = begin / kTilePositions * kTilePositions;
    const F32x16 minus_infinity = broadcast(kMinusInfinity);
    float index[16];
    for (int i = 0; i < 16; ++i) index[i] = static_cast<float>(i);
    const F32x16 lane = load(index);

    F32x16 largest = minus_infinity;
    for (std::size_t p = first; p < end; p += kTilePositions) {
        F32x16 s = load(scores + p);
        if (softcap != 0.0F) s = broadcast(softcap) * tanh(s / broadcast(softcap));
        if (p < begin) s = select_less(lane, broadcast(static_cast<float>(begin - p)), minus_infinity, s);
        if (p + kTilePositions > end) s = select_less(lane, broadcast(static_cast<float>(end - p)), s, minus_infinity);
        store(scores + p, s);
        largest = max(largest, s);
    }
    const float m = reduce_max(largest);
    F32x16 sum = zero();
    for (std::size_t p = first; p < end; p += kTilePositions) {
        const F32x16 weight = weight_of(load(scores + p) - broadcast(m));
        store(scores + p, weight);
        sum = sum + weight;
    }
    *max_score = m;
    *sum_of_weights = reduce_sum(sum);
}

// out[q][chunk lanes] += sum over positions [begin, end), in order, of weight * value. weights: [q, 256]. A query's out is state_floats()
// after the one before.
template <KvType kType, int kQueries, int kChunks>
void add_float_chunks(const AttentionPiece& piece, const float* weights, std::size_t chunk, std::uint32_t begin, std::uint32_t end,
                      float* out) {
    const std::size_t stride = state_floats(piece.head_dim);
    F32x16 sum[kQueries][kChunks];
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int c = 0; c < kChunks; ++c) sum[q][c] = load(out + q * stride + (chunk + c) * 16);
    }
    constexpr std::size_t kElementBytes = kType == KvType::kF32 ? 4 : 2;
    for (std::uint32_t p = begin; p < end;) {
        const std::uint32_t tile = p / kTilePositions;
        const std::uint32_t tile_end = (tile + 1) * kTilePositions < end ? (tile + 1) * kTilePositions : end;
        const std::byte* const values = piece.values[tile];
        const std::byte* const next = piece.next_keys[tile] != nullptr ? piece.next_keys[tile] + chunk * 256 * kElementBytes : values;
        const float* weight = weights + p;
        std::size_t at = chunk * 256 + std::size_t{p % kTilePositions} * 16;
        for (; p < tile_end; ++p, at += 16, ++weight) {
            prefetch_part<kChunks * 16 * kElementBytes>(next, p % kTilePositions);
            add_products<kQueries, kChunks>([&](int q) { return broadcast(weight[std::size_t{kPiecePositions} * q]); },
                                            [&](int c) { return load_elements<kType>(values, at + c * 256); }, sum);
        }
    }
#pragma GCC unroll 16
    for (int q = 0; q < kQueries; ++q) {
        for (int c = 0; c < kChunks; ++c) store(out + q * stride + (chunk + c) * 16, sum[q][c]);
    }
}

template <KvType kType, int kQueries, int kChunks>
void add_chunks(const AttentionPiece& piece, const float* weights, std::size_t chunk, std::uint32_t begin, std::uint32_t end, float* out) {
    if constexpr (is_quantized(kType)) {
        add_quantized_chunks<kType, kQueries, kChunks>(piece, weights, chunk, begin, end, out);
    } else {
        add_float_chunks<kType, kQueries, kChunks>(piece, weights, chunk, begin, end, out);
    }
}

// Chunks [chunk, n_chunks).
template <KvType kType, int kQueries, int kChunks = side_by_side(kQueries)>
void add_values(const AttentionPiece& piece, const float* weights, std::uint32_t begin, std::uint32_t end, float* out,
                std::size_t chunk = 0) {
    if (begin >= end) return;
    const std::size_t n_chunks = (piece.head_dim + 15) / 16;
    for (; chunk + kChunks <= n_chunks; chunk += kChunks) {
        add_chunks<kType, kQueries, kChunks>(piece, weights, chunk, begin, end, out);
    }
    if constexpr (kChunks > 1) add_values<kType, kQueries, kChunks / 2>(piece, weights, begin, end, out, chunk);
}

// kQueries queries from first_query on. Those see the same positions but for a few at the ends (causal order, windows): these are added for
// each by itself, so that a position that a query does not see is not even multiplied by 0.
template <KvType kType, int kQueries>
void values_of(const AttentionPiece& piece, std::uint32_t first_query, const float* scores, float* states) {
    const std::uint32_t* const begins = piece.begin + first_query;
    const std::uint32_t* const ends = piece.end + first_query;
    const float* const weights = scores + first_query * kPiecePositions;
    const std::size_t stride = state_floats(piece.head_dim);
    float* const out = states + first_query * stride;
    std::uint32_t begin = 0;
    std::uint32_t end = kPiecePositions;
    for (int q = 0; q < kQueries; ++q) {
        begin = begin > begins[q] ? begin : begins[q];
        end = end < ends[q] ? end : ends[q];
    }
    const auto add_alone = [&](int q, std::uint32_t from, std::uint32_t to) {
        add_values<kType, 1>(piece, weights + q * kPiecePositions, from, to, out + q * stride);
    };
    if (begin >= end) {
        for (int q = 0; q < kQueries; ++q) add_alone(q, begins[q], ends[q]);
        return;
    }
    for (int q = 0; q < kQueries; ++q) add_alone(q, begins[q], begin);
    add_values<kType, kQueries>(piece, weights, begin, end, out);
    for (int q = 0; q < kQueries; ++q) add_alone(q, end, ends[q]);
}

// Call the kernels compiled for n queries, 1 .. kTogether.
template <KvType kType>
void score_group(std::uint32_t n, const AttentionPiece& piece, std::uint32_t q, std::uint32_t first, std::uint32_t last, float* scores) {
    unroll<kTogether>([&](auto less) {
        constexpr int kQueries = kTogether - decltype(less)::value;
        if (n == kQueries) score_range<kType, kQueries>(piece, q, first, last, scores);
    });
}
template <KvType kType>
void values_group(std::uint32_t n, const AttentionPiece& piece, std::uint32_t q, const float* scores, float* states) {
    unroll<kTogether>([&](auto less) {
        constexpr int kQueries = kTogether - decltype(less)::value;
        if (n == kQueries) values_of<kType, kQueries>(piece, q, scores, states);
    });
}

// Calls visit(queries, of which the first) for groups of queries that a loop takes together.
template <typename Visit>
void for_each_query_group(std::uint32_t n, const Visit& visit) {
    const std::uint32_t n_groups = (n + kTogether - 1) / kTogether;
    for (std::uint32_t g = 0; g < n_groups; ++g) {
        const std::uint32_t q = n * g / n_groups;
        visit(n * (g + 1) / n_groups - q, q);
    }
}

// The tiles that some query sees.
struct TileRange {
    std::uint32_t first;
    std::uint32_t last;
};
TileRange tiles_seen(const AttentionPiece& piece) {
    std::uint32_t begin = kPiecePositions;
    std::uint32_t end = 0;
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        if (piece.begin[q] >= piece.end[q]) continue;
        begin = begin < piece.begin[q] ? begin : piece.begin[q];
        end = end > piece.end[q] ? end : piece.end[q];
    }
    return {.first = begin / kTilePositions, .last = (end + kTilePositions - 1) / kTilePositions};
}

void score_all(const AttentionPiece& piece, TileRange tiles, float* scores) {
    for_each_query_group(piece.n_queries, [&](std::uint32_t n, std::uint32_t q) {
        switch (piece.key_type) {
            case KvType::kF32:
                return score_group<KvType::kF32>(n, piece, q, tiles.first, tiles.last, scores);
            case KvType::kF16:
                return score_group<KvType::kF16>(n, piece, q, tiles.first, tiles.last, scores);
            case KvType::kBF16:
                return score_group<KvType::kBF16>(n, piece, q, tiles.first, tiles.last, scores);
            case KvType::kQ8:
                return score_group<KvType::kQ8>(n, piece, q, tiles.first, tiles.last, scores);
            case KvType::kQ4:
                return score_group<KvType::kQ4>(n, piece, q, tiles.first, tiles.last, scores);
        }
    });
}

void add_all_values(const AttentionPiece& piece, const float* weights, float* states) {
    for_each_query_group(piece.n_queries, [&](std::uint32_t n, std::uint32_t q) {
        switch (piece.value_type) {
            case KvType::kF32:
                return values_group<KvType::kF32>(n, piece, q, weights, states);
            case KvType::kF16:
                return values_group<KvType::kF16>(n, piece, q, weights, states);
            case KvType::kBF16:
                return values_group<KvType::kBF16>(n, piece, q, weights, states);
            case KvType::kQ8:
                return values_group<KvType::kQ8>(n, piece, q, weights, states);
            case KvType::kQ4:
                return values_group<KvType::kQ4>(n, piece, q, weights, states);
        }
    });
}

void attend(const AttentionPiece& piece, float* scores, float* states) {
    const std::size_t stride = state_floats(piece.head_dim);
    score_all(piece, tiles_seen(piece), scores);
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        float* const state = states + q * stride;
        float* const max_and_sum = max_score(state, piece.head_dim);
        for (std::size_t i = 0; i + 16 < stride; i += 16) store(state + i, zero());
        max_and_sum[0] = kMinusInfinity;
        max_and_sum[1] = 0.0F;
        if (piece.begin[q] >= piece.end[q]) continue;
        weigh(piece.begin[q], piece.end[q], piece.softcap, scores + q * kPiecePositions, max_and_sum, max_and_sum + 1);
    }
    add_all_values(piece, scores, states);
}

// e^x of one number, by the same formula as everywhere.
float exp_of(float x) {
    float lanes[16];
    store(lanes, exp(broadcast(x)));
    return lanes[0];
}

void merge(const float* piece, std::size_t head_dim, float* total) {
    const std::size_t stride = state_floats(head_dim);
    const float* const piece_max_sum = max_score(piece, head_dim);
    float* const total_max_sum = max_score(total, head_dim);
    if (piece_max_sum[1] == 0.0F) return;
    if (total_max_sum[1] == 0.0F) {
        for (std::size_t i = 0; i < stride - 16; i += 16) store(total + i, load(piece + i));
        total_max_sum[0] = piece_max_sum[0];
        total_max_sum[1] = piece_max_sum[1];
        return;
    }
    const float m = total_max_sum[0] > piece_max_sum[0] ? total_max_sum[0] : piece_max_sum[0];
    const float old_factor = exp_of(total_max_sum[0] - m);
    const float new_factor = exp_of(piece_max_sum[0] - m);
    for (std::size_t i = 0; i < stride - 16; i += 16) {
        store(total + i, fma(load(piece + i), broadcast(new_factor), load(total + i) * broadcast(old_factor)));
    }
    total_max_sum[0] = m;
    total_max_sum[1] = total_max_sum[1] * old_factor + piece_max_sum[1] * new_factor;
}

// What a weight of 1, that of the largest score, is of all weights together, the sink's included.
float share_of_one(float max_score, float sum_of_weights, const float* sink) {
    if (sink == nullptr) return 1.0F / sum_of_weights;
    const float m = max_score > *sink ? max_score : *sink;
    const float rescale = exp_of(max_score - m);
    return rescale / (sum_of_weights * rescale + exp_of(*sink - m));
}

void finish(const float* total, const float* sink, std::size_t head_dim, float* y) {
    const float* const max_sum = max_score(total, head_dim);
    const float factor = share_of_one(max_sum[0], max_sum[1], sink);
    std::size_t i = 0;
    for (; i + 16 <= head_dim; i += 16) store(y + i, load(total + i) * broadcast(factor));
    if (i < head_dim) store_partial(y + i, load(total + i) * broadcast(factor), static_cast<int>(head_dim - i));
}

// ---- unfused

void scores_of_piece(const AttentionPiece& piece, float* scratch, float* const* out) {
    const TileRange tiles = tiles_seen(piece);
    score_all(piece, tiles, scratch);
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        const float* const from = scratch + q * kPiecePositions;
        for (std::uint32_t p = tiles.first * kTilePositions; p < tiles.last * kTilePositions; p += 16) store(out[q] + p, load(from + p));
    }
}

void softmax_of_row(const ScoreRow& row, float* scores) {
    float max_score = kMinusInfinity;
    float sum_of_weights = 0.0F;
    weigh(row.begin, row.end, row.softcap, scores, &max_score, &sum_of_weights);
    const F32x16 factor = broadcast(share_of_one(max_score, sum_of_weights, row.sink));
    for (std::size_t p = row.begin / kTilePositions * kTilePositions; p < row.end; p += kTilePositions) {
        store(scores + p, load(scores + p) * factor);
    }
}

void values_of_piece(const AttentionPiece& piece, float* scratch, const float* const* probabilities, float* sums) {
    for (std::uint32_t q = 0; q < piece.n_queries; ++q) {
        float* const to = scratch + q * kPiecePositions;
        for (std::uint32_t p = piece.begin[q] / 16 * 16; p < piece.end[q]; p += 16) store(to + p, load(probabilities[q] + p));
    }
    add_all_values(piece, scratch, sums);
}

}  // namespace
}  // namespace rafter::backend::cpu
