// Weights as the integer kernels see them, in plain C++: the reference for vec_bytes_avx2.h and vec_bytes_avx512.h.
//
// A Bytes holds four consecutive elements of each of a panel's 16 rows: byte 4r + j is element j of row r.
#pragma once

#include "backend/cpu/vec_scalar.h"

namespace rafter::backend::cpu {
namespace {

struct Bytes {
    std::int8_t byte[64];
};

RAFTER_VEC Bytes load_bytes(const void* p) {
    Bytes bytes;
    __builtin_memcpy(bytes.byte, p, sizeof bytes.byte);
    return bytes;
}

// Where dot() wants the zero of weights that have a sign: 0 where it takes signed bytes, and unsigned ones with any zero. Otherwise weights
// are unsigned bytes with their zero here, moved up as far as that takes, and raise() makes them of signed ones.
constexpr int kZeroAt = 0;
RAFTER_VEC Bytes raise(Bytes signed_bytes) { return signed_bytes; }

// A call, not a copy in every kernel: these are many, and scalar need not be fast.
[[maybe_unused, gnu::noinline]] void add_products(const Bytes& weights, int mask, const std::int8_t* x, I32x16& sum) {
    for (int b = 0; b < 64; ++b) sum.lane[b / 4] += (weights.byte[b] & mask) * x[b % 4];
}

// Panels times columns that a tile of the integer kernels takes at once, and the panels among them; columns of the float kernels; panels
// times columns where weights are read from memory, kDirectSums where the processor fetches them: as the registers go. Up to kMaxDirect
// columns formats that unpack easily are unpacked again for every few, up to kMaxFetched all where the processor fetches, kFetchedColumns
// at a time: measured (bench/results/kernels.md).
constexpr int kTileStreams = 4;
constexpr int kTilePanels = 1;
constexpr int kFloatTile = 4;
constexpr int kFloatPanels = 1;
constexpr int kDirectStreams = 4;
constexpr int kDirectSums = 4;
constexpr int kMaxFetched = 2;
constexpr int kFetchedColumns = 2;
constexpr std::uint32_t kMaxDirect = 24;

// sum[p][s] = start[s] + sum of weight * x[s] over kGroups groups of four elements from group `first` of a step of 32 on, for each row of
// panel p, exactly.
//   weights[p].get(t) is the Bytes of elements 4t .. 4t + 3; group(i) the order in which they are best prefetched.
//   kMaxWeight: weights are unsigned bytes up to it; 0: they are signed.
//   Inputs are in [-127, 127].
template <int kMaxWeight, int kGroups, int kPanels, int kStreams, typename Weights>
RAFTER_VEC void dot(const Weights (&weights)[kPanels], int first, const std::int8_t* const (&x)[kStreams], const I32x16 (&start)[kStreams],
                    I32x16 (&sum)[kPanels][kStreams]) {
    for (int p = 0; p < kPanels; ++p) {
        for (int s = 0; s < kStreams; ++s) sum[p][s] = start[s];
        for (int i = 0; i < kGroups; ++i) {
            const int t = Weights::group(first + i);
            const Bytes w = weights[p].get(t);
            for (int s = 0; s < kStreams; ++s) add_products(w, kMaxWeight > 0 ? 255 : -1, x[s] + 4 * t, sum[p][s]);
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
