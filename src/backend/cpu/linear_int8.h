// Quantised weights times quantised activations: exact integer sums of 32 (or 16) products, then floats in the order that linear.h gives.
// Few columns: weights are unpacked in registers and used for four of them at once. More: a panel is unpacked to L1, 512 elements at a
// time, and tiles of columns read it there. The arithmetic of a step is the same function in both.
#pragma once

#include <type_traits>

#include "backend/cpu/linear_columns.h"
#include "backend/cpu/unpack/panel_format.h"
#include "model/workspace.h"

namespace rafter::backend::cpu {
namespace {

// What of a format the arithmetic of a step depends on.
template <int kSubBlockElements, int kMax, int kOffset, bool kMin>
struct StepTraits {
    static constexpr int kSubBlock = kSubBlockElements;
    static constexpr int kSubs = kStep / kSubBlock;
    static constexpr int kMaxWeight = kMax;
    static constexpr int kRaise = kOffset;  // what bytes exceed their meaning by
    static constexpr bool kHasMin = kMin;
};
template <typename PanelFormat>
using StepTraitsOf =
    StepTraits<PanelFormat::Format::kSubBlock, PanelFormat::kMaxWeight, PanelFormat::kOffset, PanelFormat::Format::kHasMin>;

template <int kPlanes>
using InputBlock = std::conditional_t<kPlanes == 2, model::QuantizedBlock16, model::QuantizedBlock>;

template <int kPlanes>
RAFTER_VEC const InputBlock<kPlanes>* input_blocks(const LinearTask& task, std::uint32_t column) {
    return reinterpret_cast<const InputBlock<kPlanes>*>(input_row(task, column));
}

// What sums of products begin with, for weights raised by kRaise, a power of two.
template <int kRaise>
RAFTER_VEC I32x16 lowered(std::int32_t lower) {
    if constexpr (kRaise == 0) return broadcast_int(0);
    if constexpr (kRaise == 4) return shift_right_signed<5>(broadcast_int(lower));
    if constexpr (kRaise == 8) return shift_right_signed<4>(broadcast_int(lower));
    if constexpr (kRaise == 16) return shift_right_signed<3>(broadcast_int(lower));
    if constexpr (kRaise == 32) return shift_right_signed<2>(broadcast_int(lower));
    if constexpr (kRaise == 128) return broadcast_int(lower);
}

// Adds 32 elements, those of the activations' block `block`, to the sums of some panels and of kCount columns from kFirst on. Largest
// integers, in 32 bits: 32 * 255 * 16256.
template <typename Traits, int kPlanes, int kFirst, int kCount, int kPanels, int kColumns, typename Weights>
RAFTER_VEC void accumulate_step(const Weights (&weights)[kPanels], const F32x16 (&scale)[kPanels][Traits::kSubs],
                                const F32x16 (&min)[kPanels][Traits::kSubs], const InputBlock<kPlanes>* const (&columns)[kColumns],
                                std::size_t block, F32x16 (&acc)[kPanels][kColumns]) {
    constexpr int kGroups = 8 / Traits::kSubs;
    const std::int8_t* x[kCount * kPlanes];
    for (int c = 0; c < kCount; ++c) {
        const InputBlock<kPlanes>& in = columns[kFirst + c][block];
        if constexpr (kPlanes == 2) x[c] = in.high;
        x[(kPlanes - 1) * kCount + c] = in.low;
    }
#pragma GCC unroll 2
    for (int h = 0; h < Traits::kSubs; ++h) {
        I32x16 start[kCount * kPlanes];
        I32x16 sums[kPanels][kCount * kPlanes];
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) {
            const InputBlock<kPlanes>& in = columns[kFirst + i][block];
            if constexpr (kPlanes == 2) start[i] = broadcast_int(0);
            start[(kPlanes - 1) * kCount + i] = lowered<Traits::kRaise>(Traits::kSubs == 1 ? in.lower : in.lower_of_16[h]);
        }
        dot<Traits::kMaxWeight, kGroups, kPanels>(weights, h * kGroups, x, start, sums);
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) {
            const int c = kFirst + i;
            const InputBlock<kPlanes>& in = columns[c][block];
            const F32x16 in_scale = broadcast(in.scale);
#pragma GCC unroll 8
            for (int p = 0; p < kPanels; ++p) {
                I32x16 sum = sums[p][i];
                if constexpr (kPlanes == 2) sum = shift_left<7>(sum) + sums[p][kCount + i];
                acc[p][c] = fma(to_float(sum), scale[p][h] * in_scale, acc[p][c]);
                if constexpr (Traits::kHasMin)
                    acc[p][c] = fma(min[p][h], broadcast(Traits::kSubs == 1 ? in.minus : in.minus_of_16[h]), acc[p][c]);
            }
        }
    }
}

// ---- few columns: straight from the packed weights

constexpr std::size_t kNearBytes = 2048;  // where memory latency times a core's bandwidth ends
constexpr std::size_t kFarBytes = 4096;

// How the lines that are read next are prefetched.
enum class Ahead {
    kPaced,  // into L1, each step those that are kNearBytes away, no more at a time: what a core cannot have under way waits, and the
             // arithmetic with it
    kFar,    // into L2, as early as the core comes to it
    kNone,
};

// Processors that fetch ahead well are only helped where a line of weights takes so long to compute that few are under way.
constexpr Ahead how_ahead(WeightFetch fetch, std::size_t step_bytes, int n_streams) {
    if (fetch == WeightFetch::kPaced) return Ahead::kPaced;
    return step_bytes < std::size_t{128} * static_cast<std::size_t>(n_streams) ? Ahead::kFar : Ahead::kNone;
}

// kColumns columns from `begin` on, of panels from first_panel on, kPanels at a time: streams side by side, which share what is loaded of
// the columns. Each goes through neighbouring panels, so that what is prefetched at a panel's end is what is read next. Returns the
// first panel that is left.
template <typename PanelFormat, WeightFetch kFetch, int kPlanes, int kPanels, int kColumns>
[[gnu::noinline]] std::uint32_t int8_direct(const LinearTask& task, std::uint32_t begin, std::uint32_t first_panel) {
    using Format = typename PanelFormat::Format;
    using Traits = StepTraitsOf<PanelFormat>;
    constexpr int kSteps = Format::kBlockElements / kStep;
    constexpr int kSubBlocks = Format::kBlockElements / Format::kSubBlock;
    constexpr std::size_t kGroupBytes = kPanelRows * sizeof(typename Format::Block);
    constexpr std::size_t kStepBytes = kGroupBytes / kSteps;
    constexpr Ahead kAhead = how_ahead(kFetch, kStepBytes, kColumns * kPlanes);
    const InputBlock<kPlanes>* columns[kColumns];
    for (int c = 0; c < kColumns; ++c) columns[c] = input_blocks<kPlanes>(task, begin + static_cast<std::uint32_t>(c));
    const std::size_t n_groups = task.weights.n_cols / Format::kBlockElements;
    const std::uint32_t n_panels = (task.last_panel - first_panel) / kPanels;  // of a stream
    const std::byte* group[kPanels];
    for (std::uint32_t p = 0; p < kPanels; ++p) group[p] = task.weights.data + (first_panel + p * n_panels) * task.weights.panel_bytes;
    for (std::uint32_t panel = first_panel; panel < first_panel + n_panels; ++panel) {
        F32x16 acc[kPanels][kColumns];
        for (int p = 0; p < kPanels; ++p) {
            for (int c = 0; c < kColumns; ++c) acc[p][c] = zero();
        }
        for (std::size_t g = 0; g < n_groups; ++g) {
            F32x16 scales[kPanels][kSubBlocks];
            F32x16 mins[kPanels][kSubBlocks];
            for (int p = 0; p < kPanels; ++p) PanelFormat::scales(group[p], scales[p], mins[p]);
            for (int outer = 0; outer < kSteps / PanelFormat::kPeriod; ++outer) {
#pragma GCC unroll 4
                for (int inner = 0; inner < PanelFormat::kPeriod; ++inner) {
                    const int step = outer * PanelFormat::kPeriod + inner;
                    typename PanelFormat::Weights weights[kPanels];
                    F32x16 scale[kPanels][Traits::kSubs];
                    F32x16 min[kPanels][Traits::kSubs];
#pragma GCC unroll 8
                    for (int p = 0; p < kPanels; ++p) {
                        const std::byte* const next = group[p] + kGroupBytes + static_cast<std::size_t>(step) * kStepBytes;
                        if constexpr (kAhead == Ahead::kPaced) {
                            const std::byte* const ahead = after(next + kNearBytes, acc[p][0]);
                            for (std::size_t line = 0; line < kStepBytes; line += 64) prefetch(ahead + line);
                        }
                        if constexpr (kAhead == Ahead::kFar) {
                            for (std::size_t line = 0; line < kStepBytes; line += 64) prefetch_far(next + kFarBytes + line);
                        }
                        weights[p] = {group[p], outer, inner};
#pragma GCC unroll 2
                        for (int h = 0; h < Traits::kSubs; ++h) {
                            scale[p][h] = scales[p][step * Traits::kSubs + h];
                            if constexpr (Traits::kHasMin) min[p][h] = mins[p][step * Traits::kSubs + h];
                        }
                    }
                    const std::size_t block = g * kSteps + static_cast<std::size_t>(step);
                    constexpr int kTile = kPanels * kColumns * kPlanes > kTileStreams ? (kColumns + 1) / 2 : kColumns;
                    accumulate_step<Traits, kPlanes, 0, kTile>(weights, scale, min, columns, block, acc);
                    if constexpr (kTile < kColumns) {
                        // Unpacked once more: the compiler would rather keep it all in memory.
                        for (int p = 0; p < kPanels; ++p) weights[p] = {after(group[p], acc[p][kTile - 1]), outer, inner};
                        accumulate_step<Traits, kPlanes, kTile, kColumns - kTile>(weights, scale, min, columns, block, acc);
                    }
                }
            }
            for (int p = 0; p < kPanels; ++p) group[p] += kGroupBytes;
        }
        for (std::uint32_t p = 0; p < kPanels; ++p) {
            for (std::uint32_t c = 0; c < kColumns; ++c) write_column(task, begin + c, panel + p * n_panels, acc[p][c]);
        }
    }
    return first_panel + kPanels * n_panels;
}

// Panels side by side. Formats of 256 have many scales: two panels at most, and where lines are paced only for one column and where there
// are registers for it.
template <typename Format, WeightFetch kFetch, int kStreamsAPanel>
constexpr int direct_panels() {
    constexpr bool kOf256 = Format::kBlockElements > kStep;
    if constexpr (kFetch == WeightFetch::kByProcessor) {
        constexpr int kMax = kOf256 && kDirectStreams > 2 ? 2 : kDirectStreams;
        constexpr int kFit = kDirectSums / kStreamsAPanel;
        return kFit < 1 ? 1 : kFit > kMax ? kMax : kFit;
    }
    if constexpr (kOf256) return kStreamsAPanel == 1 && kDirectStreams > 2 ? 2 : 1;
    return kDirectStreams > kStreamsAPanel ? kDirectStreams / kStreamsAPanel : 1;
}

// n columns from `begin` on, at most kColumns.
template <typename PanelFormat, WeightFetch kFetch, int kPlanes, int kColumns>
void int8_direct_pass(const LinearTask& task, std::uint32_t begin, std::uint32_t n) {
    if constexpr (kColumns > 1) {
        if (n < kColumns) return int8_direct_pass<PanelFormat, kFetch, kPlanes, kColumns - 1>(task, begin, n);
    }
    constexpr int kPanels = direct_panels<typename PanelFormat::Format, kFetch, kColumns * kPlanes>();
    std::uint32_t panel = task.first_panel;
    if constexpr (kPanels > 1) panel = int8_direct<PanelFormat, kFetch, kPlanes, kPanels, kColumns>(task, begin, panel);
    int8_direct<PanelFormat, kFetch, kPlanes, 1, kColumns>(task, begin, panel);
}

// Where unpacking takes little, doing it again for each few columns beats doing it once through memory. All passes over a few panels, which
// stay in L2, before the next ones.
template <typename PanelFormat, WeightFetch kFetch, int kPlanes, int kColumns>
void int8_direct_passes(LinearTask task) {
    constexpr std::uint32_t kPanelsInL2 = 8;
    const std::uint32_t n_passes = (task.n_columns + kColumns - 1) / kColumns;
    const std::uint32_t last_panel = task.last_panel;
    while (task.first_panel < last_panel) {
        task.last_panel = n_passes > 1 && last_panel - task.first_panel > kPanelsInL2 ? task.first_panel + kPanelsInL2 : last_panel;
        for (std::uint32_t pass = 0; pass < n_passes; ++pass) {
            // Where they are computed two panels at a time, seven columns take as long as eight: whole passes and a rest.
            const auto begin_of = [&](std::uint32_t i) {
                if (kFetch == WeightFetch::kPaced) return task.n_columns * i / n_passes;
                return i * kColumns < task.n_columns ? i * kColumns : task.n_columns;
            };
            int8_direct_pass<PanelFormat, kFetch, kPlanes, kColumns>(task, begin_of(pass), begin_of(pass + 1) - begin_of(pass));
        }
        task.first_panel = task.last_panel;
    }
}

// ---- more columns: through a chunk in L1

struct Int8Scratch {
    UnpackedChunk chunks[kTilePanels];
    ChunkSums sums;
};
static_assert(sizeof(Int8Scratch) <= kLinearScratchBytes);

// The weights of the next chunk of some panels, prefetched a few lines of each a step while this one is computed.
struct NextChunk {
    const std::byte* line;
    std::size_t panel_bytes;
    int lines_a_step;
};

// Adds n_steps of some panels' chunks to the sums of kColumns columns, the block's from `first` on, of which it takes the blocks from where
// `columns` point.
template <typename Traits, int kPlanes, int kColumns>
[[gnu::noinline]] void int8_tile(const UnpackedChunk (&chunks)[kTilePanels], int n_steps,
                                 const InputBlock<kPlanes>* const (&columns)[kColumns], const BlockSums& sums, std::uint32_t first,
                                 NextChunk ahead) {
    F32x16 acc[kTilePanels][kColumns];
    for (std::uint32_t p = 0; p < kTilePanels; ++p) {
        for (std::uint32_t c = 0; c < kColumns; ++c) acc[p][c] = sums.get(p, first + c);
    }
    for (int s = 0; s < n_steps; ++s) {
        F32x16 scale[kTilePanels][Traits::kSubs];
        F32x16 min[kTilePanels][Traits::kSubs];
        ChunkWeights weights[kTilePanels];
        for (int line = 0; line < ahead.lines_a_step; ++line, ahead.line += 64) {
            for (std::size_t p = 0; p < kTilePanels; ++p) prefetch(ahead.line + p * ahead.panel_bytes);
        }
#pragma GCC unroll 2
        for (int p = 0; p < kTilePanels; ++p) {
#pragma GCC unroll 2
            for (int h = 0; h < Traits::kSubs; ++h) {
                scale[p][h] = load(chunks[p].scale[s * Traits::kSubs + h]);
                if constexpr (Traits::kHasMin) min[p][h] = load(chunks[p].min[s * Traits::kSubs + h]);
            }
            weights[p] = {chunks[p].bytes[s]};
        }
        accumulate_step<Traits, kPlanes, 0, kColumns>(weights, scale, min, columns, static_cast<std::size_t>(s), acc);
    }
    sums.put(first, acc);
}

template <typename PanelFormat, int kPlanes>
[[gnu::noinline]] void int8_chunked(const LinearTask& task) {
    using Format = typename PanelFormat::Format;
    using Traits = StepTraitsOf<PanelFormat>;
    constexpr int kTile = kTileStreams / kTilePanels / kPlanes;
    auto& scratch = *reinterpret_cast<Int8Scratch*>(task.scratch);
    const auto bytes_of = [](int n) {
        return static_cast<std::size_t>(n / Format::kBlockElements) * kPanelRows * sizeof(typename Format::Block);
    };
    const auto weights = [&](const PanelChunk& chunk) {
        return task.weights.data + chunk.panel * task.weights.panel_bytes + bytes_of(chunk.k);
    };
    for_each_chunk<(Format::kBlockElements > kStep ? 512 : kChunk), kTilePanels>(
        task, scratch.sums, [&](const PanelChunk& at, const PanelChunk& next, const BlockSums& sums) {
            for (std::uint32_t p = 0; p < at.n_panels; ++p) {
                unpack_chunk<PanelFormat>(weights(at) + p * task.weights.panel_bytes, at.n, scratch.chunks[p]);
            }
            const int n_steps = at.n / kStep;
            const int n_tiles = static_cast<int>((sums.n_columns + kTile - 1) / kTile);
            NextChunk ahead = {weights(next), task.weights.panel_bytes, static_cast<int>(bytes_of(at.n) / 64) / (n_steps * n_tiles) + 1};
            const std::byte* const end = ahead.line + bytes_of(at.n);
            for_each_tile<kTile>(sums.n_columns, [&](auto size, std::uint32_t first) {
                constexpr int kColumns = decltype(size)::value;
                const InputBlock<kPlanes>* columns[kColumns];
                for (std::uint32_t c = 0; c < kColumns; ++c)
                    columns[c] = input_blocks<kPlanes>(task, sums.begin + first + c) + at.k / kStep;
                int8_tile<Traits, kPlanes, kColumns>(scratch.chunks, n_steps, columns, sums, first, ahead);
                ahead.line += std::ptrdiff_t{64} * ahead.lines_a_step * n_steps;
                if (ahead.line >= end) ahead.lines_a_step = 0;
            });
        });
}

template <typename PanelFormat, int kPlanes>
void int8_any_columns(const LinearTask& task) {
    if constexpr (!PanelFormat::kIsGeneric) {
        // From how many columns on a chunk in L1 wins depends on what unpacking costs.
        constexpr bool kOf256 = PanelFormat::Format::kBlockElements > kStep;
        constexpr int kByProcessor = PanelFormat::Format::kSubBlock == 16 && kMaxFetched > 6 ? 6 : kMaxFetched;
        if (task.fetch == WeightFetch::kByProcessor && task.n_columns <= kByProcessor) {
            return int8_direct_passes<PanelFormat, WeightFetch::kByProcessor, kPlanes, kFetchedColumns / kPlanes>(task);
        }
        constexpr std::uint32_t kMax = kOf256 ? 4 : PanelFormat::kMaxWeight == 31 ? 8 : kMaxDirect;
        constexpr int kColumns = (kOf256 ? 4 : 8) / kPlanes;
        if (task.n_columns <= kMax) return int8_direct_passes<PanelFormat, WeightFetch::kPaced, kPlanes, kColumns>(task);
    }
    int8_chunked<PanelFormat, kPlanes>(task);
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
