// How the integer kernels read a panel in one format. A PanelFormat has
//     Format                  the format itself, from tensor/formats/
//     kMaxWeight, kOffset     weights come as unsigned bytes up to kMaxWeight and mean byte - kOffset; kMaxWeight 0: as signed bytes
//     scales(group, scale, min)      one F32x16 for each sub-block of 16 interleaved blocks; min only if Format::kHasMin
//     kPeriod                        steps of 32 elements after which the payload's pattern of shifts comes again
//     Weights{group, outer, inner}   of step outer * kPeriod + inner: get(t) gives elements 4t .. 4t + 3 of 16 rows, group(i) a good order
//                                    to prefetch in. inner and t are constants where loops are unrolled, outer is not.
// Those with vector code specialise PanelFormatOf (formats_of_32.h, formats_of_256.h). All others, and all of them in scalar, are read
// through the format's own unpack(): slow, but a new format works at once, and it is the reference for the others.
#pragma once

#include "backend/cpu/packed_layout.h"

namespace rafter::backend::cpu {
namespace {

constexpr int kStep = 32;    // elements of a block of quantised activations
constexpr int kChunk = 640;  // elements of a panel that are unpacked at a time: with a tile's inputs they fit into L1
constexpr int kChunkSteps = kChunk / kStep;

// A panel's chunk in L1, of kSteps steps. Bytes, scales and mins as the kernels load them.
template <int kSteps>
struct UnpackedSteps {
    std::int8_t bytes[kSteps][8][64];
    float scale[kSteps * kStep / 16][16];  // a row a sub-block
    float min[kSteps * kStep / 16][16];
};
using UnpackedChunk = UnpackedSteps<kChunkSteps>;  // 15 KiB

template <typename PanelFormat>
constexpr int sub_blocks_of_step() {
    static_assert(PanelFormat::Format::kSubBlock == 16 || PanelFormat::Format::kSubBlock == 32);
    return kStep / PanelFormat::Format::kSubBlock;
}

template <typename AnyFormat>
struct GenericPanelFormat {
    using Format = AnyFormat;
    static constexpr int kMaxWeight = 0;
    static constexpr int kOffset = 0;
    static constexpr bool kIsGeneric = true;

    // One group of 16 blocks, from step `step` of the chunk on.
    template <int kSteps>
    static void unpack(const std::byte* group, int step, UnpackedSteps<kSteps>& chunk) {
        constexpr int kSubBlocks = Format::kBlockElements / Format::kSubBlock;
        constexpr PackedFields fields = kFieldsOf<Format>;
        const int first = step * (kStep / Format::kSubBlock);
        for (int r = 0; r < static_cast<int>(kPanelRows); ++r) {
            typename Format::Block block;
            std::int8_t q[Format::kBlockElements];
            float scale[kSubBlocks];
            float min[kSubBlocks];
            unpack_block(fields, sizeof block, group, static_cast<std::size_t>(r), &block);
            Format::unpack(block, q, scale, min);
            for (int s = 0; s < kSubBlocks; ++s) {
                chunk.scale[first + s][r] = scale[s];
                if constexpr (Format::kHasMin) chunk.min[first + s][r] = min[s];
            }
            for (int e = 0; e < Format::kBlockElements; ++e) chunk.bytes[step + e / kStep][e % kStep / 4][4 * r + e % 4] = q[e];
        }
    }
};

template <typename Format>
struct PanelFormatOf {
    using Type = GenericPanelFormat<Format>;
};

// The weights of one step of a chunk.
struct ChunkWeights {
    const std::int8_t (*bytes)[64];
    static constexpr int group(int i) { return i; }
    [[nodiscard]] RAFTER_VEC Bytes get(int t) const { return load_bytes(bytes[t]); }
};

// Unpacks n_elements (at most a chunk) of a panel, from `group` on. kSigned: bytes without what the format raises them by. Not inlined: one
// copy a format, or compiling takes minutes.
template <typename PanelFormat, bool kSigned = false, int kChunkOfSteps = kChunkSteps>
[[gnu::noinline]] void unpack_chunk(const std::byte* group, int n_elements, UnpackedSteps<kChunkOfSteps>& chunk) {
    using Format = typename PanelFormat::Format;
    constexpr int kElements = Format::kBlockElements;
    for (int e = 0; e < n_elements; e += kElements, group += kPanelRows * sizeof(typename Format::Block)) {
        if constexpr (PanelFormat::kIsGeneric) {
            PanelFormat::unpack(group, e / kStep, chunk);
        } else {
            constexpr int kSubBlocks = kElements / Format::kSubBlock;
            F32x16 scale[kSubBlocks];
            F32x16 min[kSubBlocks];
            PanelFormat::scales(group, scale, min);
            for (int s = 0; s < kSubBlocks; ++s) {
                store(chunk.scale[e / Format::kSubBlock + s], scale[s]);
                if constexpr (Format::kHasMin) store(chunk.min[e / Format::kSubBlock + s], min[s]);
            }
            for (int outer = 0; outer < kElements / kStep / PanelFormat::kPeriod; ++outer) {
#pragma GCC unroll 8
                for (int inner = 0; inner < PanelFormat::kPeriod; ++inner) {
                    const typename PanelFormat::Weights weights{group, outer, inner};
#pragma GCC unroll 8
                    for (int i = 0; i < 8; ++i) {
                        const int t = PanelFormat::Weights::group(i);
                        Bytes bytes = weights.get(t);
                        if constexpr (kSigned && PanelFormat::kOffset != 0) bytes = bytes - broadcast_bytes(PanelFormat::kOffset);
                        store_bytes(chunk.bytes[e / kStep + outer * PanelFormat::kPeriod + inner][t], bytes);
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
