// Second moments, and their factor. Included after a vec header.
#pragma once

#include "backend/cpu/encode/feedback_kernels.h"
#include "backend/cpu/encode/products.h"

namespace rafter::backend::cpu {
namespace {

constexpr std::size_t kGroup = kFeedbackGroup;

// Of some rows a group's columns, side by side.
void pack_group(const MomentRows& rows, std::size_t first, std::size_t n, std::size_t group, float* packed) {
    for (std::size_t t = 0; t < n; ++t) {
        const std::size_t row = rows.index == nullptr ? first + t : rows.index[first + t];
        const float* const from = rows.values + row * rows.stride + group * kGroup;
        for (std::size_t c = 0; c < kGroup; c += kLanes) store(packed + t * kGroup + c, broadcast(rows.scale) * load(from + c));
    }
}

void add_moments(const MomentRows& rows, const Share& share, std::byte* scratch, float* moments) {
    static_assert(2 * kTermChunk * kGroup * sizeof(float) <= kMomentScratchBytes);
    auto* const left = reinterpret_cast<float*>(scratch);
    float* const right = left + kTermChunk * kGroup;
    for (std::size_t first = 0; first < rows.n_rows; first += kTermChunk) {
        const std::size_t n = rows.n_rows - first < kTermChunk ? rows.n_rows - first : kTermChunk;
        for (std::size_t group = share.thread; group < rows.n_cols / kGroup; group += share.n_threads) {
            pack_group(rows, first, n, group, right);
            float* const to = moments + moments_size(group * kGroup);
            for (std::size_t before = 0; before <= group; ++before) {
                pack_group(rows, first, n, before, left);
                add_products({left, kGroup}, {right, kGroup}, n, to + before * kGroup * kGroup, kGroup, kGroup);
            }
        }
    }
}

bool factor_triangle(const float* moments, std::size_t group, float* triangle, float* inverse_diagonal) {
    const float* const from = moments + moments_size(group * kGroup) + group * kGroup * kGroup;
    for (std::size_t j = kGroup; j-- > 0;) {
        for (std::size_t i = j + 1; i-- > 0;) {
            double rest = static_cast<double>(from[i * kGroup + j]);
            for (std::size_t c = j + 1; c < kGroup; ++c) {
                rest -= static_cast<double>(triangle[i * kGroup + c]) * static_cast<double>(triangle[j * kGroup + c]);
            }
            if (i == j) {
                if (!(rest > 0.0 && rest < 1e30)) return false;
                triangle[j * kGroup + j] = static_cast<float>(__builtin_sqrt(rest));
                inverse_diagonal[j] = 1.0F / triangle[j * kGroup + j];
            } else {
                triangle[i * kGroup + j] = static_cast<float>(rest / static_cast<double>(triangle[j * kGroup + j]));
            }
        }
        for (std::size_t i = j + 1; i < kGroup; ++i) triangle[i * kGroup + j] = 0.0F;
    }
    return true;
}

void solve_panel(float* moments, std::size_t group, const float* triangle, const float* inverse_diagonal, const Share& share, float* panel,
                 std::size_t panel_stride) {
    float* const of_group = moments + moments_size(group * kGroup);
    for (std::size_t row = share.thread * kLanes; row < group * kGroup; row += share.n_threads * kLanes) {
        float* const rows = of_group + row * kGroup;
        alignas(64) float across[kGroup][kLanes];
        for (std::size_t r = 0; r < kLanes; ++r) {
            for (std::size_t c = 0; c < kGroup; ++c) across[c][r] = rows[r * kGroup + c];
        }
        for (std::size_t c = kGroup; c-- > 0;) {
            F32x16 x = load(across[c]);
            for (std::size_t after = c + 1; after < kGroup; ++after) {
                x = fma(broadcast(-triangle[c * kGroup + after]), load(across[after]), x);
            }
            store(across[c], x * broadcast(inverse_diagonal[c]));
        }
        for (std::size_t c = 0; c < kGroup; ++c) {
            store(panel + c * panel_stride + row, load(across[c]));
            for (std::size_t r = 0; r < kLanes; ++r) rows[r * kGroup + c] = across[c][r] * inverse_diagonal[c];
        }
    }
    if (share.thread != 0) return;
    float* const diagonal = of_group + group * kGroup * kGroup;
    for (std::size_t r = 0; r < kGroup; ++r) {
        for (std::size_t c = 0; c < kGroup; ++c) diagonal[r * kGroup + c] = triangle[r * kGroup + c] * inverse_diagonal[c];
        diagonal[r * kGroup + r] = 1.0F;
    }
}

void subtract_group(float* moments, std::size_t group, const Share& share, const float* panel, std::size_t panel_stride) {
    alignas(64) float negative[kGroup * kGroup];
    for (std::size_t before = share.thread; before < group; before += share.n_threads) {
        for (std::size_t t = 0; t < kGroup; ++t) {
            const float* const from = panel + t * panel_stride + before * kGroup;
            for (std::size_t c = 0; c < kGroup; c += kLanes) store(negative + t * kGroup + c, -load(from + c));
        }
        float* const to = moments + moments_size(before * kGroup);
        for (std::size_t i = 0; i <= before; ++i) {
            add_products({panel + i * kGroup, panel_stride}, {negative, kGroup}, kGroup, to + i * kGroup * kGroup, kGroup, kGroup);
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
