// Tile registers in plain C++: the reference for tiles_amx.h, which has the same names, and what tests of kernels run on where there is no
// AMX. Kernels are templates over these classes (linear_tiled.h).
//
// A tile is a matrix of at most 16 rows of 64 bytes. Eight of them are configured together, each with its own shape:
//     ModelTiles tiles({{16, 64}, ...});       rows, bytes a row. Until the object's end no other one may live in the thread.
//     tiles.zero<t>();
//     tiles.load<t>(from, stride_bytes);       rows lie stride_bytes apart
//     tiles.store<t>(to, stride_bytes);
//     tiles.add_products<sum, left, right>();
// add_products multiplies signed bytes: sum is [m][n] of 32-bit integers, left [m][4k] of bytes, right [k][n][4] of bytes: byte i of
// right's column n and row k is multiplied by byte 4k + i of left's row m. Sums wrap around. A panel's unpacked step is such a `right`.
// Specification: Intel's Software Developer's Manual, volume 2, TILELOADD, TILESTORED, TDPBSSD. What the processor answers with an invalid
// opcode, shapes that do not fit, ends the program here too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rafter::backend::cpu {
namespace {

constexpr int kTileRegisters = 8;
constexpr int kMaxTileRows = 16;
constexpr int kMaxTileRowBytes = 64;

struct TileShape {
    std::uint8_t rows;
    std::uint8_t row_bytes;
};

class ModelTiles {
  public:
    explicit ModelTiles(const TileShape (&shapes)[kTileRegisters]) {
        for (int t = 0; t < kTileRegisters; ++t) {
            expect(shapes[t].rows <= kMaxTileRows && shapes[t].row_bytes <= kMaxTileRowBytes);
            tiles_[t] = {};
            tiles_[t].shape = shapes[t];
        }
    }
    ModelTiles(const ModelTiles&) = delete;
    ModelTiles& operator=(const ModelTiles&) = delete;

    template <int kTile>
    void zero() {
        __builtin_memset(configured(tiles_[kTile]).bytes, 0, sizeof tiles_[kTile].bytes);
    }
    template <int kTile>
    void load(const void* from, std::size_t stride_bytes) {
        Tile& tile = configured(tiles_[kTile]);
        __builtin_memset(tile.bytes, 0, sizeof tile.bytes);
        for (int r = 0; r < tile.shape.rows; ++r) {
            __builtin_memcpy(tile.bytes[r], static_cast<const char*>(from) + static_cast<std::size_t>(r) * stride_bytes,
                             tile.shape.row_bytes);
        }
    }
    template <int kTile>
    void store(void* to, std::size_t stride_bytes) {
        const Tile& tile = configured(tiles_[kTile]);
        for (int r = 0; r < tile.shape.rows; ++r) {
            __builtin_memcpy(static_cast<char*>(to) + static_cast<std::size_t>(r) * stride_bytes, tile.bytes[r], tile.shape.row_bytes);
        }
    }
    template <int kSum, int kLeft, int kRight>
    void add_products() {
        static_assert(kSum != kLeft && kSum != kRight && kLeft != kRight);
        add_products(configured(tiles_[kSum]), configured(tiles_[kLeft]), configured(tiles_[kRight]));
    }

  private:
    struct Tile {
        TileShape shape;
        std::int8_t bytes[kMaxTileRows][kMaxTileRowBytes];
    };

    static void expect(bool holds) {
        if (!holds) __builtin_trap();
    }
    static Tile& configured(Tile& tile) {
        expect(tile.shape.rows > 0 && tile.shape.row_bytes > 0);
        return tile;
    }
    static void add_products(Tile& sum, const Tile& left, const Tile& right) {
        const int n_columns = sum.shape.row_bytes / 4;
        const int n_fours = left.shape.row_bytes / 4;
        expect(sum.shape.row_bytes % 4 == 0 && left.shape.row_bytes % 4 == 0);
        expect(left.shape.rows == sum.shape.rows && right.shape.row_bytes == sum.shape.row_bytes && right.shape.rows == n_fours);
        for (int m = 0; m < sum.shape.rows; ++m) {
            std::uint32_t row[kMaxTileRowBytes / 4];
            __builtin_memcpy(row, sum.bytes[m], sizeof row);
            for (int k = 0; k < n_fours; ++k) {
                for (int n = 0; n < n_columns; ++n) {
                    for (int i = 0; i < 4; ++i) row[n] += static_cast<std::uint32_t>(left.bytes[m][4 * k + i] * right.bytes[k][4 * n + i]);
                }
            }
            __builtin_memcpy(sum.bytes[m], row, sizeof row);
        }
    }

    Tile tiles_[kTileRegisters];
};

}  // namespace
}  // namespace rafter::backend::cpu
