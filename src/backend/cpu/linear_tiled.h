// Quantised weights times quantised activations on tile registers, for formats with a scale for each 32 elements (or fewer scales).
// A step of 32 elements of a panel is a tile as it is unpacked, a step of up to 16 columns is another: one instruction makes their 16 * 16
// sums of 32 products. What is made of the sums follows, in the same order of float operations as in linear_int8.h: results are bit-equal.
//
// A chunk of 256 elements at a time. While the tiles of one item (a panel, up to 16 columns) are multiplied, the sums of the item before
// it, which lie in L1, are scaled and added up: the two share a core's units, and neither waits for the other.
// Loops over registers have constant indices and bodies that are always inlined: else the compiler keeps such arrays in memory, because
// assembly may read all of that.
// Constants come from timings of prototypes; the whole is not yet measured on a machine with AMX.
#pragma once

#include "backend/cpu/linear_int8.h"
#include "backend/cpu/tiles_model.h"

namespace rafter::backend::cpu {
namespace {

constexpr int kTiledSteps = 8;  // of a chunk
constexpr int kTiledChunk = kTiledSteps * kStep;
constexpr std::uint32_t kTiledItems = kBlockColumns / kTileColumns;  // of a panel and a block of columns
constexpr std::uint32_t kTiledPanels = 2;                            // unpacked at a time
constexpr std::uint32_t kTiledGroup = 8;                             // panels for which a chunk's inputs are gathered once
static_assert(kTiledGroup % kTiledPanels == 0 && kBlockColumns % kTileColumns == 0);

// Sums in four tiles in turn, inputs and weights in two each: what follows an instruction does not wait for it.
constexpr TileShape kTiledShapes[kTileRegisters] = {{kTileColumns, 64},    {kTileColumns, 64},
                                                    {kTileColumns, 64},    {kTileColumns, 64},     // sums: a row a column
                                                    {kTileColumns, kStep}, {kTileColumns, kStep},  // inputs: a row a column
                                                    {kStep / 4, 64},       {kStep / 4, 64}};  // weights: four elements of 16 rows a row

// Of the chunk's blocks of inputs.
template <int kPlanes>
struct TiledInputs {
    alignas(64) std::int8_t bytes[kTiledItems][kTiledSteps][kPlanes][kTileColumns][kStep];
    float scale[kTiledItems][kTiledSteps][kTileColumns];
    float minus[kTiledItems][kTiledSteps][kTileColumns];
};
// [column][row of the panel]
template <int kPlanes>
using TiledProducts = std::int32_t[kTiledSteps][kPlanes][kTileColumns][16];
using TiledSums = float[kTileColumns][16];

template <int kPlanes>
struct TiledScratch {
    TiledInputs<kPlanes> inputs;
    alignas(64) TiledProducts<kPlanes> products[2];  // of an item, and of the one before
    UnpackedSteps<kTiledSteps> weights[kTiledPanels];
    TiledSums sums[kTiledGroup][kTiledItems];  // between chunks
};
static_assert(sizeof(TiledScratch<2>) <= kLinearScratchBytes);

// Elements from k on of the block's columns, begin .. begin + n_columns. Columns beyond the last are zeros.
template <int kPlanes>
[[gnu::noinline]] void gather_inputs(const LinearTask& task, std::uint32_t begin, std::uint32_t n_columns, int k, int n_steps,
                                     TiledInputs<kPlanes>& inputs) {
    for (std::uint32_t item = 0; item * kTileColumns < n_columns; ++item) {
        for (std::uint32_t c = 0; c < kTileColumns; ++c) {
            const std::uint32_t column = item * kTileColumns + c;
            const InputBlock<kPlanes> zeros = {};
            const bool is_column = column < n_columns;
            const InputBlock<kPlanes>* const blocks = is_column ? input_blocks<kPlanes>(task, begin + column) + k / kStep : nullptr;
            for (int s = 0; s < n_steps; ++s) {
                const InputBlock<kPlanes>& block = is_column ? blocks[s] : zeros;
                if constexpr (kPlanes == 2) __builtin_memcpy(inputs.bytes[item][s][0][c], block.high, kStep);
                __builtin_memcpy(inputs.bytes[item][s][kPlanes - 1][c], block.low, kStep);
                inputs.scale[item][s][c] = block.scale;
                inputs.minus[item][s][c] = block.minus;
            }
        }
    }
}

// kTurn: the step's place among four.
template <int kTurn, int kPlanes, typename Tiles>
RAFTER_VEC void multiply_step(Tiles& tiles, const std::int8_t (&inputs)[kPlanes][kTileColumns][kStep], const std::int8_t (&weights)[8][64],
                              std::int32_t (&products)[kPlanes][kTileColumns][16]) {
    constexpr int kRight = 6 + kTurn % 2;
    tiles.template load<kRight>(weights, sizeof weights[0]);
    unroll<kPlanes>([&](auto plane) __attribute__((always_inline)) {
        constexpr int kPlane = decltype(plane)::value;
        constexpr int kSum = (kTurn * kPlanes + kPlane) % 4;
        constexpr int kLeft = 4 + kSum % 2;
        tiles.template zero<kSum>();
        tiles.template load<kLeft>(inputs[kPlane], kStep);
        tiles.template add_products<kSum, kLeft, kRight>();
        tiles.template store<kSum>(products[kPlane], sizeof products[kPlane][0]);
    });
}

// One block of linear.h's sequence, for each column.
template <bool kHasMin, int kPlanes>
RAFTER_VEC void add_step(const std::int32_t (&products)[kPlanes][kTileColumns][16], const float* weight_scale, const float* weight_min,
                         const float* input_scale, const float* input_minus, F32x16 (&acc)[kTileColumns]) {
    const F32x16 scale = load(weight_scale);
    F32x16 min = scale;
    if constexpr (kHasMin) min = load(weight_min);
    unroll<kTileColumns>([&](auto column) __attribute__((always_inline)) {
        constexpr int c = decltype(column)::value;
        I32x16 sum = load(products[0][c]);
        if constexpr (kPlanes == 2) sum = shift_left<7>(sum) + load(products[1][c]);
        acc[c] = fma(to_float(sum), scale * broadcast(input_scale[c]), acc[c]);
        if constexpr (kHasMin) acc[c] = fma(min, broadcast(input_minus[c]), acc[c]);
    });
}

// Weights that are unpacked after those at hand, prefetched a few lines a step: of each of kTiledPanels panels these bytes.
struct TiledNext {
    const std::byte* line;
    const std::byte* end;
    std::size_t panel_bytes;
    int lines_a_step;
};
struct TiledChunk {
    std::uint32_t n_panels;
    std::uint32_t n_items;  // of a panel
    int n_steps;
    bool is_first;  // sums begin at zero
};

// The steps of an item's multiplication and of the addition of the one before it, `added`; at the ends only one of them is.
template <bool kMultiplies, bool kAdds, bool kHasMin, int kPlanes, typename Tiles>
RAFTER_VEC void run_item(Tiles& tiles, TiledScratch<kPlanes>& scratch, const TiledChunk& chunk, std::uint32_t item,
                         TiledSums (*sums)[kTiledItems], TiledNext& ahead) {
    const std::uint32_t added = item - (kAdds ? 1 : 0);
    const std::uint32_t column = item % chunk.n_items;
    const std::uint32_t added_column = added % chunk.n_items;
    const UnpackedSteps<kTiledSteps>& weights = scratch.weights[kMultiplies ? item / chunk.n_items : 0];
    const UnpackedSteps<kTiledSteps>& added_weights = scratch.weights[added / chunk.n_items];
    TiledProducts<kPlanes>& products = scratch.products[item % 2];
    const TiledProducts<kPlanes>& added_products = scratch.products[added % 2];
    TiledSums& result = sums[added / chunk.n_items][added_column];
    F32x16 acc[kTileColumns];
    if constexpr (kAdds)
        unroll<kTileColumns>([&](auto c)
                                 __attribute__((always_inline)) { acc[c.value] = chunk.is_first ? zero() : load(result[c.value]); });
    for (int from = 0; from < chunk.n_steps; from += 4) {
        unroll<4>([&](auto turn) __attribute__((always_inline)) {
            constexpr int kTurn = decltype(turn)::value;
            const int s = from + kTurn;
            if (s >= chunk.n_steps) return;
            for (int i = 0; i < ahead.lines_a_step && ahead.line < ahead.end; ++i, ahead.line += 64) {
                for (std::size_t p = 0; p < kTiledPanels; ++p) prefetch(ahead.line + p * ahead.panel_bytes);
            }
            if constexpr (kMultiplies) {
                multiply_step<kTurn, kPlanes>(tiles, scratch.inputs.bytes[column][s], weights.bytes[s], products[s]);
            }
            if constexpr (kAdds) {
                add_step<kHasMin, kPlanes>(added_products[s], added_weights.scale[s], added_weights.min[s],
                                           scratch.inputs.scale[added_column][s], scratch.inputs.minus[added_column][s], acc);
            }
        });
    }
    if constexpr (kAdds) unroll<kTileColumns>([&](auto c) __attribute__((always_inline)) { store(result[c.value], acc[c.value]); });
}

// Adds the products of unpacked panels to sums[panel][item].
template <bool kHasMin, int kPlanes, typename Tiles>
[[gnu::noinline]] void add_chunk(Tiles& tiles, TiledScratch<kPlanes>& scratch, const TiledChunk& chunk, TiledSums (*sums)[kTiledItems],
                                 TiledNext ahead) {
    const std::uint32_t n = chunk.n_panels * chunk.n_items;
    ahead.lines_a_step = static_cast<int>((ahead.end - ahead.line) / 64 / static_cast<int>(n + 1) / chunk.n_steps + 1);
    run_item<true, false, kHasMin, kPlanes>(tiles, scratch, chunk, 0, sums, ahead);
    for (std::uint32_t i = 1; i < n; ++i) run_item<true, true, kHasMin, kPlanes>(tiles, scratch, chunk, i, sums, ahead);
    run_item<false, true, kHasMin, kPlanes>(tiles, scratch, chunk, n, sums, ahead);
}

template <typename Tiles, typename PanelFormat, int kPlanes>
[[gnu::noinline]] void tiled_linear(const LinearTask& task) {
    using Format = typename PanelFormat::Format;
    static_assert(Format::kSubBlock == kStep && kTiledChunk % Format::kBlockElements == 0);
    auto& scratch = *reinterpret_cast<TiledScratch<kPlanes>*>(task.scratch);
    const auto bytes_of = [](int n) {
        return static_cast<std::size_t>(n / Format::kBlockElements) * kPanelRows * sizeof(typename Format::Block);
    };
    const auto n_cols = static_cast<int>(task.weights.n_cols);
    Tiles tiles(kTiledShapes);
    for (std::uint32_t begin = 0; begin < task.n_columns; begin += kBlockColumns) {
        const std::uint32_t n_columns = task.n_columns - begin < kBlockColumns ? task.n_columns - begin : kBlockColumns;
        const std::uint32_t n_items = (n_columns + kTileColumns - 1) / kTileColumns;
        for (std::uint32_t first = task.first_panel; first < task.last_panel; first += kTiledGroup) {
            const std::uint32_t n_panels = task.last_panel - first < kTiledGroup ? task.last_panel - first : kTiledGroup;
            const std::byte* const panels = task.weights.data + first * task.weights.panel_bytes;
            for (int k = 0; k < n_cols; k += kTiledChunk) {
                const int n = n_cols - k < kTiledChunk ? n_cols - k : kTiledChunk;
                const int n_steps = n / kStep;
                // Inputs of one chunk only stay gathered for all groups.
                if (n < n_cols || first == task.first_panel) gather_inputs<kPlanes>(task, begin, n_columns, k, n_steps, scratch.inputs);
                for (std::uint32_t p = 0; p < n_panels; p += kTiledPanels) {
                    const std::uint32_t n_here = n_panels - p < kTiledPanels ? n_panels - p : kTiledPanels;
                    for (std::uint32_t i = 0; i < n_here; ++i) {
                        unpack_chunk<PanelFormat, true>(panels + (p + i) * task.weights.panel_bytes + bytes_of(k), n, scratch.weights[i]);
                    }
                    // The same elements of the panels that follow, or of the group's first ones the elements that follow.
                    const bool is_last = p + n_here == n_panels;
                    const std::byte* const next =
                        is_last ? panels + bytes_of(k + n) : panels + (p + n_here) * task.weights.panel_bytes + bytes_of(k);
                    add_chunk<Format::kHasMin, kPlanes>(
                        tiles, scratch, {.n_panels = n_here, .n_items = n_items, .n_steps = n_steps, .is_first = k == 0}, scratch.sums + p,
                        {.line = next, .end = next + bytes_of(n), .panel_bytes = task.weights.panel_bytes, .lines_a_step = 0});
                }
            }
            for (std::uint32_t c = 0; c < n_columns; ++c) {
                for (std::uint32_t p = 0; p < n_panels; ++p) {
                    write_column(task, begin + c, first + p, load(scratch.sums[p][c / kTileColumns][c % kTileColumns]));
                }
            }
        }
    }
}

// ---- which kernel

template <typename Tiles, typename Format>
bool tiled_if(const LinearTask& task) {
    if constexpr (tensor::kIsQuantized<Format>) {
        if constexpr (Format::kSubBlock == kStep) {
            if (task.weights.dtype != Format::kDType) return false;
            using PanelFormat = typename PanelFormatOf<Format>::Type;
            if (task.encoding == model::Encoding::kQ16) {
                tiled_linear<Tiles, PanelFormat, 2>(task);
            } else {
                tiled_linear<Tiles, PanelFormat, 1>(task);
            }
            return true;
        }
    }
    return false;
}
// False for weights that have no such kernel.
template <typename Tiles, typename... Formats>
bool run_tiled_format(const LinearTask& task, tensor::FormatList<Formats...> /*list*/) {
    return (tiled_if<Tiles, Formats>(task) || ...);
}

// The task without its first n columns.
LinearTask without_columns(LinearTask task, std::uint32_t n) {
    task.n_columns -= n;
    if (task.input_rows != nullptr) {
        task.input_rows += n;
    } else {
        task.input += n * task.input_stride_bytes;
    }
    if (task.output_rows != nullptr) {
        task.output_rows += n;
    } else {
        task.output += n * task.output_stride;
    }
    return task;
}

// Columns go to tiles in groups of 16; a group of fewer than task.min_tile_columns, and what tiles cannot do, to the vectors' kernels.
template <typename Tiles>
void run_tiled(const LinearTask& task, const LinearKernels& vectors) {
    const std::uint32_t n_over = task.n_columns % kTileColumns;
    if (task.encoding == model::Encoding::kF32 || task.n_columns < task.min_tile_columns) return vectors.run(task);
    LinearTask tiled = task;
    if (n_over < task.min_tile_columns) tiled.n_columns -= n_over;
    if (tiled.n_columns == 0 || !run_tiled_format<Tiles>(tiled, tensor::AllFormats())) return vectors.run(task);
    if (tiled.n_columns < task.n_columns) vectors.run(without_columns(task, tiled.n_columns));
}

}  // namespace
}  // namespace rafter::backend::cpu
