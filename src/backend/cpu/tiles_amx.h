// The tile registers of Intel's AMX, by assembly of our own. What each operation means is written in tiles_model.h.
// GCC 12's intrinsics are not used: _tile_loadconfig() names 8 of the 64 bytes that it reads, so that the stores of the others may be left
// out, and _tile_loadd() does not say that it reads memory.
// Only for a thread of a process that isa.h found to have kAmx. Configuring takes about 220 cycles, so a call with many columns can afford
// it, and no thread waits or sleeps with tiles to be saved.
#pragma once

#include "backend/cpu/tiles_model.h"

namespace rafter::backend::cpu {
namespace {

class AmxTiles {
  public:
    [[gnu::always_inline]] explicit AmxTiles(const TileShape (&shapes)[kTileRegisters]) {
        // LDTILECFG's 64 bytes, palette 1.
        struct alignas(64) Configuration {
            std::uint8_t palette;
            std::uint8_t start_row;
            std::uint8_t reserved[14];
            std::uint16_t row_bytes[16];
            std::uint8_t rows[16];
        };
        static_assert(sizeof(Configuration) == 64);
        Configuration configuration = {.palette = 1, .start_row = 0, .reserved = {}, .row_bytes = {}, .rows = {}};
        for (int t = 0; t < kTileRegisters; ++t) {
            configuration.row_bytes[t] = shapes[t].row_bytes;
            configuration.rows[t] = shapes[t].rows;
        }
        __asm__ volatile("ldtilecfg %0" : : "m"(configuration));
    }
    [[gnu::always_inline]] ~AmxTiles() { __asm__ volatile("tilerelease"); }
    AmxTiles(const AmxTiles&) = delete;
    AmxTiles& operator=(const AmxTiles&) = delete;

    template <int kTile>
    [[gnu::always_inline]] void zero() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
    }
    template <int kTile>
    [[gnu::always_inline]] void load(const void* from, std::size_t stride_bytes) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride_bytes), "i"(kTile) : "memory");
    }
    template <int kTile>
    [[gnu::always_inline]] void store(void* to, std::size_t stride_bytes) {
        __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride_bytes), "i"(kTile) : "memory");
    }
    // Assembly in AT&T's order: the sum comes last.
    template <int kSum, int kLeft, int kRight>
    [[gnu::always_inline]] void add_products() {
        __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kLeft), "i"(kRight));
    }
};

}  // namespace
}  // namespace rafter::backend::cpu
