// Sums of products in a fixed order, for error feedback: term after term, each rounded once, so that neither tiles nor chunks nor threads
// change a bit. Included after a vec header.
#pragma once

#include "backend/cpu/unroll.h"

namespace rafter::backend::cpu {
namespace {

// A term of which chunk stays in the first-level cache.
constexpr std::size_t kTermChunk = 128;
constexpr int kTileRows = 6;  // accumulators: AVX2 has registers for no more

// Term t has elements at `at + t * stride`.
struct Terms {
    const float* at = nullptr;
    std::size_t stride = 0;
    RAFTER_VEC Terms after(std::size_t t, std::size_t column) const { return {at + t * stride + column, stride}; }
};

template <int kRows>
RAFTER_VEC void add_tile(const Terms& a, const Terms& b, std::size_t n_terms, float* to, std::size_t to_stride) {
    F32x16 sums[kRows];
    unroll<kRows>([&](auto r) { sums[r.value] = load(to + r.value * to_stride); });
    const float* left = a.at;
    const float* right = b.at;
    for (std::size_t t = 0; t < n_terms; ++t) {
        const F32x16 x = load(right);
        unroll<kRows>([&](auto r) { sums[r.value] = fma(broadcast(left[r.value]), x, sums[r.value]); });
        left += a.stride;
        right += b.stride;
    }
    unroll<kRows>([&](auto r) { store(to + r.value * to_stride, sums[r.value]); });
}

// to[r][c] += sum over t of a[t][r] * b[t][c], for 32 rows r and n_cols columns c, a multiple of 16.
[[gnu::noinline]] void add_products(const Terms& a, const Terms& b, std::size_t n_terms, float* to, std::size_t to_stride,
                                    std::size_t n_cols) {
    constexpr int kRows = 32;
    constexpr int kRest = kRows % kTileRows;
    for (std::size_t first = 0; first < n_terms; first += kTermChunk) {
        const std::size_t n = n_terms - first < kTermChunk ? n_terms - first : kTermChunk;
        for (std::size_t c = 0; c < n_cols; c += kLanes) {
            for (std::size_t r = 0; r + kTileRows <= kRows; r += kTileRows) {
                add_tile<kTileRows>(a.after(first, r), b.after(first, c), n, to + r * to_stride + c, to_stride);
            }
            add_tile<kRest>(a.after(first, kRows - kRest), b.after(first, c), n, to + (kRows - kRest) * to_stride + c, to_stride);
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
