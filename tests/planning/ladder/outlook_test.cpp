// The ladder of a device that is not there, from a plan alone.
#include "planning/ladder/outlook.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rafter::planning {
namespace {

Ladder outlook(const char* model, const char* hardware, const char* efficiency = "calibrated") {
    PlanOptions options;
    options.model = model;
    options.hardware = hardware;
    options.efficiency = efficiency;
    auto ladder = ladder_outlook(options, {}, "test");
    EXPECT_TRUE(ladder) << ladder.error().message;
    return ladder ? *std::move(ladder) : Ladder{};
}

TEST(LadderOutlook, PredictsEveryRungAndMeasuresNone) {
    for (const char* hardware : {"H100-SXM", "A100-SXM-80GB", "RTX-4090"}) {
        const Ladder ladder = outlook("llama-3.1-8b", hardware);
        EXPECT_FALSE(ladder.measured);
        ASSERT_GE(ladder.rungs.size(), 12U) << hardware;
        for (const LadderRung& rung : ladder.rungs) {
            EXPECT_FALSE(rung.before.measured_seconds || rung.after.measured_seconds) << rung.id;
            EXPECT_TRUE(std::isfinite(rung.after.predicted_seconds) && rung.after.predicted_seconds > 0.0) << rung.id;
            if (rung.id != "naive") EXPECT_GE(rung.predicted_gain(), 0.99) << hardware << " " << rung.id;
            EXPECT_LE(rung.after.roof_fraction(), 1.0 + 1e-9) << hardware << " " << rung.id;
        }
        EXPECT_TRUE(ladder.errors().empty());
    }
}

// What the roofline is about: bytes decide at batch 1, and a batch shares them.
TEST(LadderOutlook, BytesDecideAtBatchOne) {
    const Ladder ladder = outlook("llama-3.1-8b", "H100-SXM", "ideal");
    const double wide = ladder.find("weights_16")->after.predicted_seconds;
    EXPECT_NEAR(wide / ladder.find("weights_8")->after.predicted_seconds, 2.0, 0.15);
    EXPECT_EQ(ladder.find("weights_16")->after.roof, roofline::PriceBound::kMemory);
    EXPECT_GT(ladder.find("all")->after.predicted_tokens_per_s(), 100 * ladder.find("kv_cache")->after.predicted_tokens_per_s());
}

// In a prompt the scores of unfused attention go through memory.
TEST(LadderOutlook, FlashAttentionSavesMostInAPrompt) {
    const Ladder ladder = outlook("llama-3.1-8b", "H100-SXM");
    EXPECT_GT(ladder.find("flash_prompt")->predicted_gain(), ladder.find("flash_decode")->predicted_gain());
    EXPECT_GT(ladder.find("flash_prompt")->predicted_gain(), 1.1);
}

TEST(LadderOutlook, FailsAsAPlanDoes) {
    PlanOptions options;
    options.model = "llama-3.1-8b";
    options.hardware = "H1000";
    const auto ladder = ladder_outlook(options, {}, "test");
    ASSERT_FALSE(ladder);
    EXPECT_NE(ladder.error().message.find("H1000"), std::string::npos);
}

}  // namespace
}  // namespace rafter::planning
