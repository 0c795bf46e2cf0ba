// Sums over steps and intervals, with a clock that the test sets.
#include "server/observe/step_watch.h"

#include <gtest/gtest.h>

#include <thread>

#include "server/observe/losses.h"

namespace rafter::server {
namespace {

engine::StepReport decode_step(std::uint32_t n_sequences, double seconds) {
    engine::StepReport step;
    step.kind = engine::StepKind::kDecode;
    step.shape.sequences.assign(n_sequences, {.n_new = 1, .n_past = 100, .n_outputs = 1});
    step.n_chosen = n_sequences;
    step.n_decoding = n_sequences;
    step.cache.n_sequences = n_sequences;
    step.step_seconds = seconds;
    step.forward_seconds = 0.8 * seconds;
    step.sample_seconds = 0.1 * seconds;
    return step;
}

TEST(StepWatch, KeepsTheLastStepsOneByOne) {
    StepWatch watch;
    EXPECT_TRUE(watch.steps().empty());
    EXPECT_FALSE(watch.last_end_seconds());
    for (int i = 1; i <= 100; ++i) watch.record(decode_step(1, 0.01), 1000.0 + 0.01 * i);
    const auto steps = watch.steps();
    ASSERT_EQ(steps.size(), StepWatch::kMaxSteps);
    EXPECT_EQ(steps.front().id, 100 - StepWatch::kMaxSteps + 1);
    EXPECT_EQ(steps.back().id, 100U);
    EXPECT_DOUBLE_EQ(steps.back().end_seconds, 1001.0);
    EXPECT_DOUBLE_EQ(*watch.last_end_seconds(), 1001.0);
}

TEST(StepWatch, AStepThatLiesPartlyInAnIntervalCountsWithThatPart) {
    StepWatch watch;
    watch.record(decode_step(8, 4.0), 1004.0);  // from 1000 to 1004
    EXPECT_NEAR(watch.last(1.0, 1004.0).n_chosen, 2.0, 1e-9);
    EXPECT_NEAR(watch.last(1.0, 1004.0).step, 1.0, 1e-9);
    EXPECT_NEAR(watch.last(60.0, 1004.0).n_chosen, 8.0, 1e-9);
    EXPECT_NEAR(watch.last(2.0, 1005.0).step, 1.0, 1e-9);
    EXPECT_EQ(watch.last(1.0, 1006.0).n_chosen, 0.0);
    EXPECT_NEAR(watch.totals().n_chosen, 8.0, 1e-9);
}

TEST(StepWatch, ForgetsWhatIsOlderThanAMinuteButNotItsTotals) {
    StepWatch watch;
    watch.record(decode_step(1, 0.01), 1000.0);
    watch.record(decode_step(1, 0.01), 1059.0);
    EXPECT_NEAR(watch.last(60.0, 1059.5).n_steps, 2.0, 1e-9);
    watch.record(decode_step(1, 0.01), 1062.0);  // in the place of the first one's
    EXPECT_NEAR(watch.last(60.0, 1062.5).n_steps, 2.0, 1e-9);
    EXPECT_NEAR(watch.last(1e9, 1062.5).n_steps, 2.0, 1e-9);
    EXPECT_EQ(watch.last(60.0, 2000.0).n_steps, 0.0);
    EXPECT_EQ(watch.totals().n_steps, 3.0);
}

TEST(StepWatch, TimeBetweenStepsCountsOnlyWhileRequestsRan) {
    StepWatch watch;
    watch.record(decode_step(1, 0.1), 1000.1);
    watch.record(decode_step(1, 0.1), 1000.3);  // began at 1000.2
    EXPECT_NEAR(watch.totals().between, 0.1, 1e-9);
    engine::StepReport last = decode_step(1, 0.1);
    last.cache.n_sequences = 0;
    watch.record(last, 1000.4);
    watch.record(decode_step(1, 0.1), 1050.0);  // idle before
    EXPECT_NEAR(watch.totals().between, 0.1, 1e-9);
    watch.record(engine::StepReport{}, 1050.05);  // only ended a request that nobody wants any more
    watch.record(decode_step(1, 0.1), 1060.0);
    EXPECT_NEAR(watch.totals().between, 0.1, 1e-9);
    EXPECT_EQ(watch.totals().n_steps, 5.0);
}

TEST(StepWatch, CountsWhatTheEngineCountedSinceTheStepBefore) {
    StepWatch watch;
    engine::StepReport step = decode_step(2, 0.1);
    step.prefix = {.tokens_asked = 100, .tokens_found = 40, .missed_new = 50, .missed_evicted = 10};
    step.scheduler.preemptions = 1;
    step.n_recomputed = 1;
    watch.record(step, 1000.1);
    step.prefix.tokens_asked = 200;
    step.prefix.tokens_found = 100;
    step.prefix.missed_evicted = 50;
    watch.record(step, 1010.1);
    const StepSums latest = watch.last(5.0, 1010.1);
    EXPECT_NEAR(latest.prefix_asked, 100.0, 1e-9);
    EXPECT_NEAR(*latest.prefix_hit_fraction(), 0.6, 1e-9);
    EXPECT_NEAR(latest.prefix_missed_evicted, 40.0, 1e-9);
    EXPECT_NEAR(latest.prefix_missed_new, 0.0, 1e-9);
    EXPECT_NEAR(latest.n_preemptions, 0.0, 1e-9);
    EXPECT_NEAR(watch.totals().n_preemptions, 1.0, 1e-9);
    EXPECT_NEAR(latest.recomputed, 0.05, 1e-9);  // one token of two
}

TEST(StepWatch, WithoutPricesNothingIsSaidOfRoofs) {
    StepWatch watch;
    const RoofClock before = watch.roof_clock();
    watch.record(decode_step(4, 0.1), 1000.1);
    EXPECT_FALSE(watch.steps().back().roof);
    EXPECT_FALSE(watch.totals().roof_fraction());
    EXPECT_FALSE(watch.totals().mbu());
    EXPECT_FALSE(watch.totals().mfu());
    EXPECT_FALSE(watch.totals().predicted_over_measured());
    EXPECT_FALSE(roof_fraction_between(before, watch.roof_clock()));
}

TEST(StepWatch, LossesAddUpToTheTimeAboveTheRoof) {
    StepSums sums;
    sums.step = 10.0;
    sums.forward = 8.0;
    sums.sample = 0.5;
    sums.draft = 0.25;
    sums.between = 0.75;
    const auto total = [](const StepSums& of) {
        double seconds = 0.0;
        for (const LostSeconds& loss : losses_of(of)) seconds += loss.seconds;
        return seconds;
    };
    EXPECT_NEAR(total(sums), 10.0 - 8.0 + 0.75, 1e-9);  // the model's time is not split without a roof
    sums.memory_roof = 4.0;
    sums.compute_roof = 1.0;
    sums.overhead = 0.5;
    sums.predicted = 7.0;
    sums.predicted_forward = 8.0;
    EXPECT_NEAR(total(sums), 10.0 - 5.0 + 0.75, 1e-9);
    EXPECT_NEAR(*sums.roof_fraction(), 0.5, 1e-9);
    sums.overhead = 100.0;  // priced by a machine that was busy
    EXPECT_NEAR(total(sums), 10.0 - 5.0 + 0.75, 1e-9);
    EXPECT_NEAR(losses_of(sums)[0].seconds, 2.0, 1e-9);  // what was predicted beyond the roof
    sums.memory_roof = 20.0;                             // by a profile that cannot be right
    EXPECT_NEAR(total(sums), 10.0 - 8.0 + 0.75, 1e-9);
    sums.memory_roof = 4.0;
    EXPECT_NEAR(*sums.predicted_over_measured(), 7.0 / 8.0, 1e-9);
}

TEST(StepWatch, IsReadWhileItIsWritten) {
    StepWatch watch;
    std::thread engine([&] {
        for (int i = 0; i < 20'000; ++i) watch.record(decode_step(3, 0.001));
    });
    double n_before = 0.0;
    while (n_before < 60'000.0) {
        const double n = watch.totals().n_chosen;
        EXPECT_GE(n, n_before);
        n_before = n;
        for (const WatchedStep& step : watch.steps()) EXPECT_EQ(step.n_tokens, 3U);
        (void)watch.last(60.0, watch_seconds());
    }
    engine.join();
    EXPECT_EQ(watch.histograms().tokens.counts[1], 20'000U);  // above 1, up to 8
}

}  // namespace
}  // namespace rafter::server
