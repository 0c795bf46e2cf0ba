// The table of step times against the prices that it was made from.
#include "engine/measure/step_cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/engine/made_up_price.h"

namespace rafter::engine {
namespace {

using tests::made_up_price;

TEST(StepCost, IsTheTableWhereItHasOneAndALineBetween) {
    const StepCost cost(made_up_price, 512, 1000);
    for (const std::uint32_t n : {1U, 8U, 100U, 512U}) {
        for (const std::uint32_t past : {0U, 10U, 900U}) {
            const model::StepShape shape{.sequences = {{.n_new = n, .n_past = past, .n_outputs = 1}}};
            EXPECT_NEAR(cost.seconds(shape), made_up_price(shape), 0.1 * made_up_price(shape)) << n << " after " << past;
        }
    }
    EXPECT_FALSE(StepCost().known());
    EXPECT_EQ(StepCost().seconds(model::StepShape{.sequences = {{.n_new = 5}}}), 0.0);
}

TEST(StepCost, LearnsFromWhatStepsTakeButSlowly) {
    StepCost cost(made_up_price, 512, 1000);
    const model::StepShape shape{.sequences = {{.n_new = 64, .n_past = 0, .n_outputs = 1}}};
    const double before = cost.seconds(shape);
    cost.learn(shape, 100.0 * before);  // a disturbance
    EXPECT_LT(cost.seconds(shape), 1.1 * before);
    for (int i = 0; i < 300; ++i) cost.learn(shape, 2.0 * before);
    EXPECT_NEAR(cost.seconds(shape), 2.0 * before, 0.02 * before);
    cost.learn(shape, 0.0);
    cost.learn(shape, -1.0);
    EXPECT_NEAR(cost.seconds(shape), 2.0 * before, 0.02 * before);
}

// By made_up_price: one alone after 500 tokens takes 1.5 ms; 8 of them 5 ms; 40 of them 53 ms.
TEST(StepCost, TheUsualTimeBetweenTokensCanBeKeptBySoManyTogether) {
    const StepCost cost(made_up_price, 512, 1000);
    EXPECT_NEAR(cost.usual_itl_seconds(1000, 1), 8 * 1.5e-3, 0.5e-3);
    EXPECT_NEAR(cost.usual_itl_seconds(1000, 8), 8 * 1.5e-3, 0.5e-3);
    EXPECT_NEAR(cost.usual_itl_seconds(1000, 40), 2 * 53e-3, 5e-3);
}

model::StepShape decode(std::uint32_t n) { return {.sequences = std::vector<model::SequenceStep>(n, {.n_new = 1, .n_outputs = 1})}; }

TEST(StepCost, CorrectsAWrongTableByTheNumbersOfTokensThatStepsHave) {
    const auto truth = [](double n) { return 1e-3 * (1.0 + 0.1 * n); };
    for (const double wrong : {0.7, 1.3}) {  // of 4 to 12 tokens
        StepCost cost(
            [&](const model::StepShape& s) { return truth(s.n_tokens()) * (s.n_tokens() >= 4 && s.n_tokens() <= 12 ? wrong : 1.0); }, 512,
            1000);
        const double ratio_before = cost.seconds(decode(5)) / cost.seconds(decode(1));
        for (int i = 0; i < 60; ++i) {
            for (const std::uint32_t n : {1U, 5U, 40U}) cost.learn(decode(n), truth(n));
        }
        for (const std::uint32_t n : {1U, 5U, 40U}) EXPECT_NEAR(cost.seconds(decode(n)) / truth(n), 1.0, 0.01) << n;
        const double ratio = truth(5) / truth(1);
        EXPECT_GT(std::abs(ratio_before / ratio - 1.0), 0.2);
        // Never seen, but near: half of it at least.
        for (const std::uint32_t n : {4U, 6U})
            EXPECT_LT(std::abs(cost.seconds(decode(n)) / truth(n) - 1.0), 0.6 * std::abs(wrong - 1.0)) << n;
        // Far from all: as it was, or nearly.
        EXPECT_NEAR(cost.seconds(decode(400)) / truth(400), 1.0, 0.1);
    }
}

TEST(StepCost, OneDisturbedStepChangesLittleAndNoiseAveragesOut) {
    const auto price = [](const model::StepShape& s) { return 1e-3 * (1.0 + 0.1 * s.n_tokens()); };
    StepCost cost(price, 512, 1000);
    const double before = cost.seconds(decode(5)) / cost.seconds(decode(1));
    cost.learn(decode(5), 1000.0);
    EXPECT_NEAR(cost.seconds(decode(5)) / cost.seconds(decode(1)) / before, 1.0, 0.025);
    std::mt19937 random(3);
    for (int i = 0; i < 2000; ++i) {
        const std::uint32_t n = i % 2 ? 5 : 1;
        const double noise = 1.0 + 0.1 * (random() / 2147483648.0 - 1.0);
        cost.learn(decode(n), price(decode(n)) * noise * (i % 50 == 0 ? 5.0 : 1.0));
        if (i > 200) {
            EXPECT_NEAR(cost.seconds(decode(5)) / cost.seconds(decode(1)) / before, 1.0, 0.08) << i;
        }
    }
}

TEST(StepCost, IsSmoothWhereItsCorrectionsEnd) {
    StepCost cost([](const model::StepShape& s) { return 1e-3 + 1e-5 * s.n_tokens(); }, 2048, 1000);
    for (int i = 0; i < 300; ++i) cost.learn(decode(60), 3.0 * 1.6e-3);
    for (std::uint32_t n = 61; n < 500; ++n) EXPECT_NEAR(cost.correction(n + 1) / cost.correction(n), 1.0, 0.02) << n;
}

}  // namespace
}  // namespace rafter::engine
