// The table of step times against the prices that it was made from.
#include "engine/step_cost.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace rafter::engine
