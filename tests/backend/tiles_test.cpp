// The tile registers: the model, and AMX where there is one, against their definition.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "backend/cpu/isa.h"
#include "backend/cpu/tiles_amx.h"
#include "backend/cpu/tiles_model.h"

namespace rafter::backend::cpu {
namespace {

template <typename Tiles>
class TileRegisters : public testing::Test {
  protected:
    void SetUp() override {
        if (std::is_same_v<Tiles, AmxTiles> && !is_available(Isa::kAmx)) GTEST_SKIP() << "this machine has no AMX";
    }
    std::mt19937 random_{21};

    std::vector<std::int8_t> random_bytes(std::size_t n) {
        std::vector<std::int8_t> bytes(n);
        for (std::int8_t& b : bytes) b = static_cast<std::int8_t>(random_() % 4 == 0 ? -128 : static_cast<int>(random_() % 256) - 128);
        return bytes;
    }
};
using BothTiles = testing::Types<ModelTiles, AmxTiles>;
TYPED_TEST_SUITE(TileRegisters, BothTiles);

constexpr std::size_t kStride = 80;  // more than a row
using Image = std::array<std::int8_t, 16 * kStride>;

TYPED_TEST(TileRegisters, LoadAndStoreTheirShapeAndNothingElse) {
    for (const TileShape shape : {TileShape{16, 64}, TileShape{1, 4}, TileShape{7, 20}, TileShape{16, 32}, TileShape{8, 64}}) {
        TypeParam tiles({shape, shape, shape, shape, shape, shape, shape, shape});
        const std::vector<std::int8_t> from = this->random_bytes(16 * kStride);
        Image to;
        to.fill(77);
        tiles.template load<5>(from.data(), kStride);
        tiles.template store<5>(to.data(), kStride);
        for (std::size_t row = 0; row < 16; ++row) {
            for (std::size_t b = 0; b < kStride; ++b) {
                const bool inside = row < shape.rows && b < shape.row_bytes;
                ASSERT_EQ(to[row * kStride + b], inside ? from[row * kStride + b] : 77) << row << ", " << b;
            }
        }
    }
}

TYPED_TEST(TileRegisters, BeginAsZerosAndBecomeZerosAgain) {
    const TileShape shape{16, 64};
    for (const bool fill : {false, true}) {
        TypeParam tiles({shape, shape, shape, shape, shape, shape, shape, shape});
        Image image;
        image.fill(5);
        if (fill) {
            tiles.template load<3>(image.data(), kStride);
            tiles.template zero<3>();
        }
        tiles.template store<3>(image.data(), 64);
        for (std::size_t i = 0; i < 16 * std::size_t{64}; ++i) ASSERT_EQ(image[i], 0);
    }
}

// Added to what the sum holds, twice, and around the end of 32 bits.
TYPED_TEST(TileRegisters, AddProductsOfSignedBytes) {
    for (int round = 0; round < 200; ++round) {
        const auto up_to = [&](unsigned n) { return static_cast<std::uint8_t>(round == 0 ? n : this->random_() % n + 1); };
        const std::uint8_t m = up_to(16);
        const std::uint8_t n = up_to(16);
        const std::uint8_t k = up_to(16);  // groups of four
        const TileShape sum{m, static_cast<std::uint8_t>(4 * n)};
        const TileShape left{m, static_cast<std::uint8_t>(4 * k)};
        const TileShape right{k, static_cast<std::uint8_t>(4 * n)};
        TypeParam tiles({sum, left, right, sum, left, right, sum, sum});
        const std::vector<std::int8_t> a = this->random_bytes(16 * 64);
        const std::vector<std::int8_t> b = this->random_bytes(16 * 64);
        std::array<std::int32_t, 256> begin;
        for (std::int32_t& x : begin) x = static_cast<std::int32_t>(this->random_());
        std::array<std::int32_t, 256> found{};
        tiles.template load<3>(begin.data(), 64);
        tiles.template load<4>(a.data(), 64);
        tiles.template load<5>(b.data(), 64);
        tiles.template add_products<3, 4, 5>();
        tiles.template add_products<3, 4, 5>();
        tiles.template store<3>(found.data(), 64);
        for (std::size_t row = 0; row < m; ++row) {
            for (std::size_t column = 0; column < n; ++column) {
                std::int64_t exact = begin[row * 16 + column];
                for (std::size_t e = 0; e < 4U * k; ++e) exact += 2 * a[row * 64 + e] * b[e / 4 * 64 + 4 * column + e % 4];
                ASSERT_EQ(found[row * 16 + column], static_cast<std::int32_t>(static_cast<std::uint64_t>(exact))) << row << ", " << column;
            }
        }
    }
}

TEST(ModelTilesDeathTest, ShapesThatDoNotFitEndTheProgramAsTheProcessorDoes) {
    const TileShape full{16, 64};
    const auto multiply = [&](TileShape sum, TileShape left, TileShape right) {
        ModelTiles tiles({sum, left, right, full, full, full, full, full});
        tiles.add_products<0, 1, 2>();
    };
    multiply(full, full, full);
    multiply({5, 12}, {5, 8}, {2, 12});
    EXPECT_DEATH(multiply(full, {15, 64}, full), "");
    EXPECT_DEATH(multiply(full, full, {15, 64}), "");
    EXPECT_DEATH(multiply(full, full, {16, 60}), "");
    EXPECT_DEATH(multiply({0, 0}, {0, 0}, {0, 0}), "");
    EXPECT_DEATH(ModelTiles({{17, 64}, full, full, full, full, full, full, full}), "");
}

}  // namespace
}  // namespace rafter::backend::cpu
