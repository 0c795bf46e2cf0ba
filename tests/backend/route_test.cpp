// The router, and the sharing of panels among threads: small decisions that every token depends on.
#include "backend/cpu/route.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backend/cpu/cpu_weights.h"

namespace rafter::backend::cpu {
namespace {

struct Choice {
    std::vector<int> experts;
    std::vector<float> weights;
};

Choice choose(const std::vector<float>& logits, const model::RouteOptions& options) {
    std::vector<float> routing(2 * options.n_experts_used);
    route(logits.data(), logits.size(), options, routing.data());
    const auto middle = routing.begin() + options.n_experts_used;
    return {{routing.begin(), middle}, {middle, routing.end()}};
}

TEST(Route, TakesTheLargestInDescendingOrderAndOfEqualsTheLower) {
    EXPECT_EQ(choose({1, 5, 3, 5, 2}, {.n_experts_used = 3}).experts, (std::vector<int>{1, 3, 2}));
    EXPECT_EQ(choose({0, 0, 0, 0}, {.n_experts_used = 2}).experts, (std::vector<int>{0, 1}));
    EXPECT_EQ(choose({-3, -1, -2}, {.n_experts_used = 3}).experts, (std::vector<int>{1, 2, 0}));
    EXPECT_EQ(choose({7}, {.n_experts_used = 1}).experts, (std::vector<int>{0}));
}

TEST(Route, WeighsByTheSoftmaxOverAllOrOverTheChosen) {
    const std::vector<float> logits = {0, std::log(2.0F), std::log(5.0F)};  // softmax 1/8, 2/8, 5/8
    const Choice raw = choose(logits, {.n_experts_used = 2, .normalize_weights = false});
    EXPECT_FLOAT_EQ(raw.weights[0], 5.0F / 8);
    EXPECT_FLOAT_EQ(raw.weights[1], 2.0F / 8);
    for (const auto scoring : {model::RouterScoring::kSoftmaxThenTopK, model::RouterScoring::kTopKThenSoftmax}) {
        const Choice normalized = choose(logits, {.n_experts_used = 2, .scoring = scoring, .normalize_weights = true});
        EXPECT_FLOAT_EQ(normalized.weights[0], 5.0F / 7);
        EXPECT_FLOAT_EQ(normalized.weights[1], 2.0F / 7);
    }
}

TEST(Route, HoldsForHugeLogitsAndStaysInRangeForNaN) {
    const Choice huge = choose({1e30F, -1e30F, 1e30F}, {.n_experts_used = 2});
    EXPECT_EQ(huge.experts, (std::vector<int>{0, 2}));
    EXPECT_FLOAT_EQ(huge.weights[0], 0.5F);
    const Choice broken = choose({NAN, 1, NAN, NAN}, {.n_experts_used = 3});
    EXPECT_EQ(broken.experts, (std::vector<int>{1, 0, 2}));
}

TEST(ShareOf, GivesTheSameRowsOfEqualShapes) {
    const std::vector<PackedMatrix> matrices(2, packed_matrix(tensor::DType::kQ4_0, 8192, 64, nullptr));
    for (const unsigned n_threads : {1U, 2U, 4U, 16U}) {
        for (unsigned t = 0; t < n_threads; ++t) {
            const std::vector<PanelRange> share = share_of(matrices, t, n_threads);
            EXPECT_EQ(share[0].first, share[1].first);
            EXPECT_EQ(share[0].last, share[1].last);
        }
    }
}

TEST(ShareOf, GivesEveryPanelToOneThreadInOrderAndEqualBytes) {
    for (const std::vector<std::uint32_t>& rows :
         {std::vector<std::uint32_t>{576, 192, 192}, {16}, {1, 5000, 33}, {48, 48}, {1600, 1600}}) {
        for (const unsigned n_threads : {1U, 2U, 3U, 8U, 64U}) {
            std::vector<PackedMatrix> matrices;
            std::size_t total = 0;
            for (const std::uint32_t n : rows) {
                matrices.push_back(packed_matrix(matrices.empty() ? tensor::DType::kQ8_0 : tensor::DType::kQ4_0, n, 64, nullptr));
                total += matrices.back().n_panels * matrices.back().panel_bytes;
            }
            std::vector<std::uint32_t> next(rows.size(), 0);
            for (unsigned t = 0; t < n_threads; ++t) {
                const std::vector<PanelRange> share = share_of(matrices, t, n_threads);
                std::size_t bytes = 0;
                for (std::size_t i = 0; i < rows.size(); ++i) {
                    if (share[i].first == share[i].last) continue;
                    EXPECT_EQ(share[i].first, next[i]);
                    next[i] = share[i].last;
                    bytes += (share[i].last - share[i].first) * matrices[i].panel_bytes;
                }
                EXPECT_LE(bytes, total / n_threads + matrices[0].panel_bytes);  // at most a panel more, here the largest
            }
            for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(next[i], matrices[i].n_panels);
        }
    }
}

}  // namespace
}  // namespace rafter::backend::cpu
