// Float activations: times weights of F32, F16 and BF16, and (for --activations f32) times quantised weights, decoded to L1 as decode()
// does. Sums run over 256 elements from zero and are then added up: more exact than one long chain, and the same for every tile.
#pragma once

#include "backend/cpu/linear_columns.h"
#include "backend/cpu/unpack/panel_format.h"
#include "tensor/formats/bf16.h"
#include "tensor/formats/f16.h"
#include "tensor/formats/f32.h"

namespace rafter::backend::cpu {
namespace {

// How element k of a panel's 16 rows is loaded.
struct LoadF32 {
    static constexpr std::size_t kBytes = 4;
    RAFTER_VEC static F32x16 at(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct LoadF16 {
    static constexpr std::size_t kBytes = 2;
    RAFTER_VEC static F32x16 at(const std::byte* p) { return load_f16(reinterpret_cast<const std::uint16_t*>(p)); }
};
struct LoadBF16 {
    static constexpr std::size_t kBytes = 2;
    RAFTER_VEC static F32x16 at(const std::byte* p) { return load_bf16(reinterpret_cast<const std::uint16_t*>(p)); }
};

constexpr int kFloatChunk = 256;  // elements whose products are added up from zero: part of what a result is

struct F32Scratch {
    float weights[kFloatPanels][kFloatChunk][16];
    UnpackedChunk chunk;
    ChunkSums sums;
};
static_assert(sizeof(F32Scratch) <= kLinearScratchBytes);

// The weights of some panels, each panel_bytes after the one before.
struct FloatWeights {
    const std::byte* data;
    std::size_t panel_bytes;
};

// The products of n elements, added up from zero, of kPanels panels and kColumns columns. Few columns take several panels, so that their
// chains of additions hide each other's latency.
template <typename Load, int kPanels, int kColumns>
RAFTER_VEC void f32_products(FloatWeights weights, int n, const float* const (&x)[kColumns], F32x16 (&acc)[kPanels][kColumns]) {
    for (int p = 0; p < kPanels; ++p) {
        for (int c = 0; c < kColumns; ++c) acc[p][c] = zero();
    }
    for (int k = 0; k < n; ++k) {
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) {
            const F32x16 w = Load::at(weights.data + static_cast<std::size_t>(p) * weights.panel_bytes +
                                      static_cast<std::size_t>(k) * 16 * Load::kBytes);
#pragma GCC unroll 8
            for (int c = 0; c < kColumns; ++c) acc[p][c] = fma(w, broadcast(x[c][k]), acc[p][c]);
        }
    }
}

// Adds those of a chunk to the sums of kColumns columns, the block's from `first` on.
template <typename Load, int kColumns>
[[gnu::noinline]] void f32_tile(FloatWeights weights, const float* const (&x)[kColumns], const BlockSums& sums, std::uint32_t first) {
    F32x16 acc[kFloatPanels][kColumns];
    f32_products<Load>(weights, sums.chunk.n, x, acc);
    for (std::uint32_t p = 0; p < kFloatPanels; ++p) {
        for (std::uint32_t c = 0; c < kColumns; ++c) acc[p][c] = sums.get(p, first + c) + acc[p][c];
    }
    sums.put(first, acc);
}

// Adds them to sums[kPanels * kColumns].
template <typename Load, int kPanels, int kColumns>
[[gnu::noinline]] void f32_add(FloatWeights weights, int n, const float* const (&x)[kColumns], float (*sums)[16]) {
    F32x16 acc[kPanels][kColumns];
    f32_products<Load>(weights, n, x, acc);
    for (int p = 0; p < kPanels; ++p) {
        for (int c = 0; c < kColumns; ++c, ++sums) store(*sums, load(*sums) + acc[p][c]);
    }
}

RAFTER_VEC const float* f32_column(const LinearTask& task, std::uint32_t column) {
    return reinterpret_cast<const float*>(input_row(task, column));
}

// Few columns: straight from memory, kPanels panels at a time. Returns the first panel that is left.
template <typename Load, int kPanels, int kColumns>
RAFTER_VEC std::uint32_t f32_direct(const LinearTask& task, std::uint32_t panel) {
    const auto n_cols = static_cast<int>(task.weights.n_cols);
    for (; panel + kPanels <= task.last_panel; panel += kPanels) {
        const std::byte* const weights = task.weights.data + panel * task.weights.panel_bytes;
        float sums[kPanels * kColumns][16];
        for (auto& sum : sums) store(sum, zero());
        for (int k = 0; k < n_cols; k += kFloatChunk) {
            const int n = n_cols - k < kFloatChunk ? n_cols - k : kFloatChunk;
            const float* x[kColumns];
            for (std::uint32_t c = 0; c < kColumns; ++c) x[c] = f32_column(task, c) + k;
            f32_add<Load, kPanels>({weights + static_cast<std::size_t>(k) * 16 * Load::kBytes, task.weights.panel_bytes}, n, x, sums);
        }
        for (std::uint32_t p = 0; p < kPanels; ++p) {
            for (std::uint32_t c = 0; c < kColumns; ++c) write_column(task, c, panel + p, load(sums[p * kColumns + c]));
        }
    }
    return panel;
}

FloatWeights widened_weights(const F32Scratch& scratch) {
    return {reinterpret_cast<const std::byte*>(scratch.weights), sizeof scratch.weights[0]};
}

// More columns: prepare(chunk) gives a chunk's weights as Load reads them.
template <typename Load, typename Prepare>
RAFTER_VEC void f32_chunked(const LinearTask& task, const Prepare& prepare) {
    auto& scratch = *reinterpret_cast<F32Scratch*>(task.scratch);
    for_each_chunk<kFloatChunk, kFloatPanels>(task, scratch.sums, [&](const PanelChunk& at, const PanelChunk&, const BlockSums& sums) {
        FloatWeights weights = prepare(at);
        if (at.n_panels < kFloatPanels) weights.panel_bytes = 0;  // the same once more: nobody reads those sums
        for_each_tile<kFloatTile>(sums.n_columns, [&](auto size, std::uint32_t first) {
            constexpr int kColumns = decltype(size)::value;
            const float* x[kColumns];
            for (std::uint32_t c = 0; c < kColumns; ++c) x[c] = f32_column(task, sums.begin + first + c) + at.k;
            f32_tile<Load>(weights, x, sums, first);
        });
    });
}

// Weights of F32, F16, BF16.
template <typename Load>
[[gnu::noinline]] void f32_linear(LinearTask task) {
    constexpr std::uint32_t kFewColumns = 8;  // above it, converting 16-bit floats once for all tiles wins
    if (task.n_columns == 1) task.first_panel = f32_direct<Load, 4, 1>(task, task.first_panel);
    if (task.n_columns == 2) task.first_panel = f32_direct<Load, 2, 2>(task, task.first_panel);
    const auto weights = [&](const PanelChunk& at) {
        return FloatWeights{task.weights.data + at.panel * task.weights.panel_bytes + static_cast<std::size_t>(at.k) * 16 * Load::kBytes,
                            task.weights.panel_bytes};
    };
    if (Load::kBytes == 4 || task.n_columns <= kFewColumns) return f32_chunked<Load>(task, weights);
    auto& scratch = *reinterpret_cast<F32Scratch*>(task.scratch);
    f32_chunked<LoadF32>(task, [&](const PanelChunk& at) {
        const FloatWeights from = weights(at);
        for (std::size_t p = 0; p < at.n_panels; ++p) {
            const std::byte* const panel = from.data + p * from.panel_bytes;
            for (int i = 0; i < at.n; ++i) store(scratch.weights[p][i], Load::at(panel + static_cast<std::size_t>(i) * 16 * Load::kBytes));
        }
        return widened_weights(scratch);
    });
}

// Element 4t + j of the chunk's step, as an integer.
template <typename PanelFormat, int j>
RAFTER_VEC I32x16 chunk_integer(const std::int8_t* bytes) {
    std::int32_t words[16];
    __builtin_memcpy(words, bytes, sizeof words);
    const I32x16 w = load(words);
    if constexpr (PanelFormat::kMaxWeight == 0) return shift_right_signed<24>(shift_left<24 - 8 * j>(w));
    return (shift_right<8 * j>(w) & broadcast_int(255)) - broadcast_int(PanelFormat::kOffset);
}

// Decodes n elements, rounding the product before the minimum is taken off, as decode() does.
template <typename PanelFormat>
[[gnu::noinline]] void decode_chunk(const UnpackedChunk& chunk, int n, float (*weights)[16]) {
    using Format = typename PanelFormat::Format;
    for (int e = 0; e < n; e += 4) {
        const std::int8_t* bytes = chunk.bytes[e / kStep][e % kStep / 4];
        const F32x16 scale = load(chunk.scale[e / Format::kSubBlock]);
        unroll<4>([&](auto element) {
            constexpr int j = decltype(element)::value;
            F32x16 value = scale * to_float(chunk_integer<PanelFormat, j>(bytes));
            if constexpr (Format::kHasMin) value = value - load(chunk.min[e / Format::kSubBlock]);
            store(weights[e + j], value);
        });
    }
}

template <typename Format>
[[gnu::noinline]] void f32_linear_quantized(const LinearTask& task) {
    using PanelFormat = typename PanelFormatOf<Format>::Type;
    auto& scratch = *reinterpret_cast<F32Scratch*>(task.scratch);
    f32_chunked<LoadF32>(task, [&](const PanelChunk& at) {
        const std::size_t first_block = static_cast<std::size_t>(at.k) / Format::kBlockElements;
        for (std::uint32_t p = 0; p < at.n_panels; ++p) {
            const std::byte* const panel = task.weights.data + (at.panel + p) * task.weights.panel_bytes;
            unpack_chunk<PanelFormat>(panel + first_block * kPanelRows * sizeof(typename Format::Block), at.n, scratch.chunk);
            decode_chunk<PanelFormat>(scratch.chunk, at.n, scratch.weights[p]);
        }
        return widened_weights(scratch);
    });
}

}  // namespace
}  // namespace rafter::backend::cpu
