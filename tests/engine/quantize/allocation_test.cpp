// The allocation against trying everything, on models small enough for that.
#include "engine/quantize/allocation.h"

#include <gtest/gtest.h>

#include <random>

namespace rafter::engine {
namespace {

std::vector<MatrixChoices> random_matrices(unsigned seed, std::size_t n_matrices, std::size_t n_types) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(0.1, 1.0);
    std::vector<MatrixChoices> matrices(n_matrices);
    for (MatrixChoices& matrix : matrices) {
        double kl = uniform(random);
        double bytes = 10.0 * uniform(random);
        for (std::size_t t = 0; t < n_types; ++t) {
            matrix.types.push_back({.bytes = bytes, .seconds = 1.0 / bytes, .kl = kl});
            bytes *= 1.0 + uniform(random);
            kl *= uniform(random);
        }
    }
    return matrices;
}

// The least loss of all choices within the budget.
double best_of_all(const std::vector<MatrixChoices>& matrices, CostKind kind, double budget) {
    std::size_t n = 1;
    for (const MatrixChoices& matrix : matrices) n *= matrix.types.size();
    double best = 1e300;
    for (std::size_t i = 0; i < n; ++i) {
        double cost = 0.0;
        double kl = 0.0;
        std::size_t rest = i;
        for (const MatrixChoices& matrix : matrices) {
            const TypeChoice& choice = matrix.types[rest % matrix.types.size()];
            rest /= matrix.types.size();
            cost += kind == CostKind::kBytes ? choice.bytes : choice.seconds;
            kl += choice.kl;
        }
        if (cost <= budget) best = std::min(best, kl);
    }
    return best;
}

TEST(Allocation, StaysWithinTheBudgetAndNearTheBestOfAll) {
    for (unsigned seed = 1; seed < 40; ++seed) {
        const std::vector<MatrixChoices> matrices = random_matrices(seed, 6, 4);
        for (const CostKind kind : {CostKind::kBytes, CostKind::kSeconds}) {
            const double least = allocate_at(matrices, kind, 1e300).cost(kind);
            for (const double more : {1.0, 1.1, 1.4, 2.0, 10.0}) {
                const auto found = allocate_within(matrices, kind, least * more * (1 + 1e-9));
                ASSERT_TRUE(found);
                EXPECT_LE(found->cost(kind), least * more * (1 + 1e-8));
                const double best = best_of_all(matrices, kind, least * more * (1 + 1e-9));
                EXPECT_GE(found->kl, best * (1 - 1e-9));
                // A multiplier and a fill leave at most about what one matrix would gain.
                EXPECT_LE(found->kl, 1.5 * best + 0.1) << "seed " << seed;
            }
        }
    }
}

TEST(Allocation, WhatCostsTooMuchIsNone) {
    const std::vector<MatrixChoices> matrices = random_matrices(3, 5, 3);
    const double least = allocate_at(matrices, CostKind::kBytes, 1e300).bytes;
    EXPECT_FALSE(allocate_within(matrices, CostKind::kBytes, least * 0.999));
    EXPECT_TRUE(allocate_within(matrices, CostKind::kBytes, least * 1.001));
}

TEST(Allocation, AnyBudgetIsEnoughForTheBestOfEach) {
    const std::vector<MatrixChoices> matrices = random_matrices(4, 8, 5);
    const auto found = allocate_within(matrices, CostKind::kBytes, 1e9);
    double kl = 0.0;
    for (const MatrixChoices& matrix : matrices) kl += matrix.types.back().kl;
    EXPECT_NEAR(found->kl, kl, 1e-12);
}

TEST(Allocation, TheFrontFallsAsItGrows) {
    const std::vector<MatrixChoices> matrices = random_matrices(5, 30, 6);
    const std::vector<Allocation> front = pareto_front(matrices, CostKind::kBytes, 9);
    ASSERT_GE(front.size(), 5U);
    for (std::size_t i = 1; i < front.size(); ++i) {
        EXPECT_GT(front[i].bytes, front[i - 1].bytes);
        EXPECT_LT(front[i].kl, front[i - 1].kl);
    }
    EXPECT_EQ(front.front().bytes, allocate_at(matrices, CostKind::kBytes, 1e300).bytes);
}

TEST(Allocation, AMatrixThatLosesNothingGetsTheCheapestType) {
    std::vector<MatrixChoices> matrices = random_matrices(6, 4, 4);
    for (TypeChoice& choice : matrices[2].types) choice.kl = 0.0;
    EXPECT_EQ(allocate_within(matrices, CostKind::kBytes, 1e9)->chosen[2], 0U);
}

}  // namespace
}  // namespace rafter::engine
