// The same report as JSON and as text, with numbers that are written down by hand.
#include "planning/workload_report.h"

#include <gtest/gtest.h>

namespace rafter::planning {
namespace {

engine::WorkloadReport small_report() {
    engine::WorkloadReport r;
    r.n_requests = 10;
    r.prompt_tokens = 1000;
    r.generated_tokens = 400;
    r.n_steps = 80;
    r.seconds = 4.0;
    r.step_seconds = 3.5;
    r.forward_seconds = 2.0;
    r.predicted_seconds = 2.5;
    r.work.weight_bytes = 10e9;
    r.work.flops = 1e12;
    r.cache.tokens_asked = 1000;
    r.cache.tokens_found = 250;
    r.cache.missed_new = 700;
    r.cache.missed_evicted = 50;
    r.tokens_hash = 0xAB;
    return r;
}

TEST(WorkloadReports, UtilizationIsOfTheTimeInTheModel) {
    const auto used = utilization(small_report(), MachinePeaks{.bytes_per_s = 10e9, .flop_per_s = 2e12});
    ASSERT_TRUE(used);
    EXPECT_DOUBLE_EQ(used->mbu, 0.5);
    EXPECT_DOUBLE_EQ(used->mfu, 0.25);
    EXPECT_FALSE(utilization(small_report(), std::nullopt));
    EXPECT_FALSE(utilization({}, MachinePeaks{.bytes_per_s = 10e9, .flop_per_s = 2e12}));
}

TEST(WorkloadReports, JsonHasRatesAndCauses) {
    engine::SchedulerOptions options;
    options.target_itl_seconds = 0.1;
    const MachinePeaks peaks{.bytes_per_s = 10e9, .flop_per_s = 2e12, .arithmetic = "AMX int8 (K = 32)"};
    const auto json = workload_json(small_report(), options, peaks);
    EXPECT_EQ(json["arithmetic"], "AMX int8 (K = 32)");
    EXPECT_NE(workload_text(small_report(), options, peaks, {}).find("25% of the AMX int8 (K = 32) roof of 2.00 TFLOP/s (MFU)"),
              std::string::npos);
    EXPECT_EQ(json["tokens_per_second"], 100.0);
    EXPECT_EQ(json["requests_per_second"], 2.5);
    EXPECT_EQ(json["target_itl_seconds"], 0.1);
    EXPECT_EQ(json["prefix_cache"]["tokens_missed"]["evicted"], 50);
    EXPECT_EQ(json["tokens_hash"], "00000000000000ab");
    EXPECT_EQ(json["mbu"], 0.5);
    EXPECT_FALSE(workload_json(small_report(), options, std::nullopt).contains("mbu"));
    EXPECT_EQ(workload_json({}, options, std::nullopt)["requests_per_second"], 0.0);
}

TEST(WorkloadReports, TextSaysWhatHappened) {
    engine::WorkloadReport report = small_report();
    const std::string text = workload_text(report, {}, std::nullopt, {});
    for (const char* words : {"10 in 4.00 s", "100 tok/s", "25% of the prompts' tokens were cache hits", "70% new, 5.0% evicted", "80%"}) {
        EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
    }
    EXPECT_EQ(text.find("failed"), std::string::npos);
    report.n_failed = 2;
    EXPECT_NE(workload_text(report, {}, std::nullopt, {}).find("2 failed"), std::string::npos);
}

}  // namespace
}  // namespace rafter::planning
