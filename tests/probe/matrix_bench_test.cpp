// Which of two kernels' readings a profile keeps, and from how many columns on tiles are said to win.
#include "probe/matrix_bench.h"

#include <gtest/gtest.h>

#include <vector>

namespace rafter::probe {
namespace {

using tensor::DType;

struct Timed {
    unsigned n_columns;
    double vectors, tiles;  // seconds a weight
};

void record_both(hardware::Profile& profile, DType weights, const std::vector<Timed>& all) {
    for (const Timed& t : all) {
        const auto reading = [&](double seconds) {
            return hardware::MatrixReading{
                .weights = weights, .activations = "q8", .n_columns = t.n_columns, .seconds_per_weight = seconds};
        };
        record_matrix(profile, reading(t.vectors), MatrixKernel::kVectors);
        record_matrix(profile, reading(t.tiles), MatrixKernel::kTiles);
    }
}

TEST(MatrixReadings, KeepTheFasterOfVectorsAndTiles) {
    hardware::Profile profile;
    record_both(profile, DType::kQ4_0, {{4, 1.0, 3.0}, {8, 2.0, 3.0}, {12, 3.5, 3.0}, {16, 4.0, 3.0}});
    ASSERT_EQ(profile.matrices.size(), 4U);
    EXPECT_EQ(profile.matrices[1].seconds_per_weight, 2.0);
    EXPECT_EQ(profile.matrices[2].seconds_per_weight, 3.0);
    EXPECT_EQ(profile.matrices[2].n_columns, 12U);
    ASSERT_EQ(profile.tiles.size(), 1U);
    EXPECT_EQ(profile.tiles[0].weights, DType::kQ4_0);
    EXPECT_EQ(profile.tiles[0].min_columns, 12U);
}

TEST(MatrixReadings, AWinBelowALossIsChance) {
    hardware::Profile profile;
    record_both(profile, DType::kQ4_0, {{4, 3.5, 3.0}, {8, 2.0, 3.0}, {12, 3.5, 3.0}, {16, 4.0, 3.0}});
    EXPECT_EQ(profile.tiles.at(0).min_columns, 12U);
}

TEST(MatrixReadings, TilesThatNeverWinAreLeftOutWhereATileIsAlone) {
    hardware::Profile profile;
    record_both(profile, DType::kQ8_0, {{4, 1.0, 3.0}, {16, 2.0, 3.0}});
    record_both(profile, DType::kQ4_0, {{4, 5.0, 3.0}, {16, 5.0, 3.0}});
    ASSERT_EQ(profile.tiles.size(), 2U);
    EXPECT_EQ(profile.tiles[0].min_columns, 17U);
    EXPECT_EQ(profile.tiles[1].min_columns, 4U);
}

TEST(MatrixReadings, OfKernelsAsTheyChooseAreKeptAsTheyAre) {
    hardware::Profile profile;
    record_matrix(profile, {.weights = DType::kQ4_0, .activations = "q8", .n_columns = 4, .seconds_per_weight = 1.0}, MatrixKernel::kUsual);
    EXPECT_EQ(profile.matrices.size(), 1U);
    EXPECT_TRUE(profile.tiles.empty());
}

}  // namespace
}  // namespace rafter::probe
