// Quantised weights times quantised activations: exact integer sums of 32 (or 16) products, then floats in the order that linear.h gives.
// Few columns: weights are unpacked in registers and used for all of them at once. More: a panel is unpacked to L1, 256 elements at a time,
// and tiles of four columns read it there. The arithmetic of a step is the same function in both.
#pragma once

#include "backend/cpu/linear_columns.h"
#include "backend/cpu/unpack/panel_format.h"
#include "model/workspace.h"

namespace rafter::backend::cpu {
namespace {

// A row of quantised activations. Planes: high, low (kQ16) or low alone (kQ8).
struct QuantizedColumn {
    const std::int8_t* plane[2];
    const float* scale;
    const std::int32_t* sum;
};

template <int kPlanes>
RAFTER_VEC QuantizedColumn quantized_column(const LinearTask& task, const model::QuantizedRow& at, std::uint32_t column) {
    const std::byte* row = input_row(task, column);
    const auto* low = reinterpret_cast<const std::int8_t*>(row + at.low);
    const auto* first = kPlanes == 2 ? reinterpret_cast<const std::int8_t*>(row + at.high) : low;
    return {{first, low}, reinterpret_cast<const float*>(row + at.scale), reinterpret_cast<const std::int32_t*>(row + at.sum)};
}

// What of a format the arithmetic of a step depends on.
template <int kSubBlockElements, int kMax, int kZero, bool kMin>
struct StepTraits {
    static constexpr int kSubBlock = kSubBlockElements;
    static constexpr int kMaxWeight = kMax;
    static constexpr int kRaise = kZero + (kMax == 0 ? kSignedBias : 0);  // what bytes exceed their meaning by
    static constexpr bool kHasMin = kMin;
};
template <typename PanelFormat>
using StepTraitsOf =
    StepTraits<PanelFormat::Format::kSubBlock, PanelFormat::kMaxWeight, PanelFormat::kOffset, PanelFormat::Format::kHasMin>;

// Adds 32 elements, those of the activations' block `block`, to the sums of C columns. Largest integers, in 32 bits: 32 * 255 * 16256.
template <typename Traits, int kPlanes, int kColumns, typename Weights>
RAFTER_VEC void accumulate_step(const Weights& weights, const F32x16* scale, const F32x16* min, const QuantizedColumn (&columns)[kColumns],
                                std::size_t block, F32x16 (&acc)[kColumns]) {
    constexpr int kGroups = Traits::kSubBlock / 4;
    unroll<kStep / Traits::kSubBlock>([&](auto sub) {
        constexpr int h = decltype(sub)::value;
        const std::int8_t* x[kColumns * kPlanes];
        for (int c = 0; c < kColumns; ++c) {
            for (int p = 0; p < kPlanes; ++p) x[p * kColumns + c] = columns[c].plane[p] + block * kStep;
        }
        I32x16 sums[kColumns * kPlanes];
        dot<Traits::kMaxWeight, h * kGroups, kGroups>(weights, x, sums);
        unroll<kColumns>([&](auto column) {
            constexpr int c = decltype(column)::value;
            const std::int32_t* in_sums = columns[c].sum + 2 * block;
            const std::int32_t in_sum = Traits::kSubBlock == 32 ? in_sums[0] + in_sums[1] : in_sums[h];
            const float in_scale = columns[c].scale[block];
            I32x16 sum = sums[c];
            if constexpr (kPlanes == 2) sum = shift_left<7>(sum) + sums[kColumns + c];
            if constexpr (Traits::kRaise != 0) sum = sum - broadcast_int(Traits::kRaise * in_sum);
            acc[c] = fma(to_float(sum), scale[h] * broadcast(in_scale), acc[c]);
            if constexpr (Traits::kHasMin) acc[c] = fma(min[h], broadcast(-(in_scale * static_cast<float>(in_sum))), acc[c]);
        });
    });
}

// ---- few columns: straight from the packed weights

constexpr std::size_t kPrefetchBytes = 2048;  // ahead of the weights in use: where memory latency times a core's bandwidth ends

template <typename PanelFormat, int kPlanes, int kColumns>
[[gnu::noinline]] void int8_direct(const LinearTask& task, const model::QuantizedRow& at) {
    using Format = typename PanelFormat::Format;
    using Traits = StepTraitsOf<PanelFormat>;
    constexpr int kSteps = Format::kBlockElements / kStep;
    constexpr int kSubBlocks = Format::kBlockElements / Format::kSubBlock;
    constexpr std::size_t kGroupBytes = kPanelRows * sizeof(typename Format::Block);
    QuantizedColumn columns[kColumns];
    for (int c = 0; c < kColumns; ++c) columns[c] = quantized_column<kPlanes>(task, at, static_cast<std::uint32_t>(c));
    const std::size_t n_groups = task.weights.n_cols / Format::kBlockElements;
    const std::byte* group = task.weights.data + task.first_panel * task.weights.panel_bytes;
    for (std::uint32_t panel = task.first_panel; panel < task.last_panel; ++panel) {
        F32x16 acc[kColumns];
        for (int c = 0; c < kColumns; ++c) acc[c] = zero();
        for (std::size_t g = 0; g < n_groups; ++g, group += kGroupBytes) {
            F32x16 scale[kSubBlocks];
            F32x16 min[kSubBlocks];
            PanelFormat::scales(group, scale, min);
            unroll<kSteps>([&](auto step) {
                constexpr int s = decltype(step)::value;
                constexpr std::size_t kStepBytes = kGroupBytes / kSteps;
                for (std::size_t line = 0; line < kStepBytes; line += 64) prefetch(group + kPrefetchBytes + s * kStepBytes + line);
                const typename PanelFormat::template Weights<s> weights{group};
                constexpr int kFirst = s * (kStep / Format::kSubBlock);
                accumulate_step<Traits, kPlanes, kColumns>(weights, scale + kFirst, min + kFirst, columns, g * kSteps + s, acc);
            });
        }
        for (int c = 0; c < kColumns; ++c) write_column(task, static_cast<std::uint32_t>(c), panel, acc[c]);
    }
}

// ---- more columns: through a chunk in L1

struct Int8Scratch {
    UnpackedChunk chunk;
    float acc[kBlockColumns][16];
};
static_assert(sizeof(Int8Scratch) <= kLinearScratchBytes);

// Adds a chunk's n_steps, from block first_block of the activations on, to the sums of C columns.
template <typename Traits, int kPlanes, int kColumns>
[[gnu::noinline]] void int8_tile(const UnpackedChunk& chunk, int n_steps, const QuantizedColumn (&columns)[kColumns],
                                 std::size_t first_block, float (*sums)[16]) {
    constexpr int kSubs = kStep / Traits::kSubBlock;
    F32x16 acc[kColumns];
    for (int c = 0; c < kColumns; ++c) acc[c] = load(sums[c]);
    for (int s = 0; s < n_steps; ++s) {
        F32x16 scale[kSubs];
        F32x16 min[kSubs];
        for (int i = 0; i < kSubs; ++i) {
            scale[i] = load(chunk.scale[s * kSubs + i]);
            if constexpr (Traits::kHasMin) min[i] = load(chunk.min[s * kSubs + i]);
        }
        const ChunkWeights weights{chunk.bytes[s]};
        accumulate_step<Traits, kPlanes, kColumns>(weights, scale, min, columns, first_block + static_cast<std::size_t>(s), acc);
    }
    for (int c = 0; c < kColumns; ++c) store(sums[c], acc[c]);
}

template <typename PanelFormat, int kPlanes>
[[gnu::noinline]] void int8_chunked(const LinearTask& task, const model::QuantizedRow& at) {
    using Format = typename PanelFormat::Format;
    auto& scratch = *reinterpret_cast<Int8Scratch*>(task.scratch);
    const auto n_cols = static_cast<int>(task.weights.n_cols);
    for (std::uint32_t begin = 0; begin < task.n_columns; begin += kBlockColumns) {
        const std::uint32_t n_columns = task.n_columns - begin < kBlockColumns ? task.n_columns - begin : kBlockColumns;
        for (std::uint32_t panel = task.first_panel; panel < task.last_panel; ++panel) {
            const std::byte* group = task.weights.data + panel * task.weights.panel_bytes;
            for (std::uint32_t c = 0; c < n_columns; ++c) store(scratch.acc[c], zero());
            for (int k = 0; k < n_cols; k += kChunk) {
                const int n = n_cols - k < kChunk ? n_cols - k : kChunk;
                unpack_chunk<PanelFormat>(group, n, scratch.chunk);
                group += static_cast<std::size_t>(n / Format::kBlockElements) * kPanelRows * sizeof(typename Format::Block);
                for_each_tile(n_columns, [&](auto size, std::uint32_t first) {
                    constexpr int kColumns = decltype(size)::value;
                    QuantizedColumn columns[kColumns];
                    for (std::uint32_t c = 0; c < kColumns; ++c) columns[c] = quantized_column<kPlanes>(task, at, begin + first + c);
                    int8_tile<StepTraitsOf<PanelFormat>, kPlanes, kColumns>(scratch.chunk, n / kStep, columns,
                                                                            static_cast<std::size_t>(k / kStep), scratch.acc + first);
                });
            }
            for (std::uint32_t c = 0; c < n_columns; ++c) write_column(task, begin + c, panel, load(scratch.acc[c]));
        }
    }
}

template <typename PanelFormat, int kPlanes>
void int8_any_columns(const LinearTask& task) {
    const model::QuantizedRow at = model::quantized_row(task.encoding, task.weights.n_cols);
    if constexpr (!PanelFormat::kIsGeneric) {
        if (task.n_columns == 1) return int8_direct<PanelFormat, kPlanes, 1>(task, at);
    }
    int8_chunked<PanelFormat, kPlanes>(task, at);
}

template <typename Format>
void int8_linear(const LinearTask& task) {
    using PanelFormat = typename PanelFormatOf<Format>::Type;
    if (task.encoding == model::Encoding::kQ16) {
        int8_any_columns<PanelFormat, 2>(task);
    } else {
        int8_any_columns<PanelFormat, 1>(task);
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
