// The engine's own time in a step, measured with requests that leave nothing behind.
#include "engine/measure/host_times.h"

#include <gtest/gtest.h>

#include "tests/engine/engine_rig.h"

namespace rafter::engine {
namespace {

TEST(HostTimes, AreOfStepsInWhichAllDecodeAndLeaveNothingInTheCache) {
    tests::Rig rig;
    const auto times = measure_host_times(rig.engine, {.n_sequences = 3, .n_vocab = 26, .context = 128});
    ASSERT_TRUE(times);
    EXPECT_GT(times->sample_seconds, 0.0);
    EXPECT_GT(times->host_seconds, 0.0);
    EXPECT_LT(times->sample_seconds + times->host_seconds, 1.0);
    EXPECT_EQ(rig.n_used(), 0U);
    const auto decodes = [](const model::StepShape& step) { return step.n_tokens() == 3; };
    EXPECT_GE(std::count_if(rig.model.steps.begin(), rig.model.steps.end(), decodes), 5);
}

TEST(HostTimes, AreNoneWhereTheContextHasNoRoomForTheRequests) {
    tests::Rig rig;
    const auto times = measure_host_times(rig.engine, {.n_sequences = 1, .n_vocab = 26, .context = 7});
    ASSERT_TRUE(times);
    EXPECT_EQ(times->sample_seconds, 0.0);
    EXPECT_EQ(times->host_seconds, 0.0);
    EXPECT_TRUE(rig.model.steps.empty());
}

}  // namespace
}  // namespace rafter::engine
