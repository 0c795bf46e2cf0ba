// GET /roofline as the page reads it: every key, with a machine profile and without.
#include "server/observe/roofline_view.h"

#include <gtest/gtest.h>

namespace rafter::server {
namespace {

engine::StepReport step_of(double seconds) {
    engine::StepReport step;
    step.kind = engine::StepKind::kDecode;
    step.shape.sequences.assign(4, {.n_new = 1, .n_past = 100, .n_outputs = 1});
    step.n_chosen = 4;
    step.n_decoding = 4;
    step.cache.n_sequences = 4;
    step.step_seconds = seconds;
    step.forward_seconds = seconds;
    return step;
}

std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : object.items()) keys.push_back(key);
    return keys;
}

TEST(RooflineView, HasEveryKeyOfItsContract) {
    StepWatch watch;
    watch.record(step_of(0.1), 1000.0);
    RooflineInput input{.model_name = "a model",
                        .machine = MachineRoofs{.name = "a processor", .isa = "avx2", .n_threads = 2},
                        .watch = watch,
                        .engine = {},
                        .load = {.n_queued = 3, .n_waiting = 2, .queued_seconds = 1.5},
                        .verdict = ShortVerdict{.headline = "fine", .lines = {"one", "two"}},
                        .now_seconds = 1000.5};
    const auto json = roofline_json(input);
    EXPECT_EQ(keys_of(json), (std::vector<std::string>{"machine", "model", "now", "steps", "verdict"}));
    EXPECT_EQ(keys_of(json["machine"]),
              (std::vector<std::string>{"name", "isa", "n_threads", "memory_bytes_per_s", "flop_per_s", "arithmetic", "measured"}));
    EXPECT_EQ(keys_of(json["now"]),
              (std::vector<std::string>{"window_seconds", "n_running", "n_queued", "queued_seconds", "decode_tokens_per_s",
                                        "prefill_tokens_per_s", "mbu", "mfu", "roof_fraction", "kv_used_fraction", "prefix_hit_fraction",
                                        "drafted_per_s", "accepted_per_s", "predicted_over_measured"}));
    ASSERT_EQ(json["steps"].size(), 1U);
    EXPECT_EQ(keys_of(json["steps"][0]),
              (std::vector<std::string>{"id", "seconds_ago", "kind", "n_tokens", "n_sequences", "flops_per_byte", "flop_per_s",
                                        "bytes_per_s", "predicted_seconds", "measured_seconds", "bound"}));
    EXPECT_EQ(json["steps"][0]["kind"], "decode");
    EXPECT_NEAR(json["steps"][0]["seconds_ago"].get<double>(), 0.5, 1e-9);
    EXPECT_EQ(json["now"]["n_queued"], 5);
    EXPECT_NEAR(json["now"]["decode_tokens_per_s"].get<double>(), 4.0, 1e-6);
    EXPECT_EQ(json["verdict"]["lines"].size(), 2U);
}

TEST(RooflineView, WhatIsNotKnownIsNullAndIdleRatesAreZero) {
    StepWatch watch;
    RooflineInput input{.model_name = "m", .machine = std::nullopt, .watch = watch, .engine = {}, .load = {}, .verdict = std::nullopt};
    const auto json = roofline_json(input);
    EXPECT_TRUE(json["machine"].is_null());
    EXPECT_TRUE(json["verdict"].is_null());
    EXPECT_TRUE(json["steps"].empty());
    for (const char* ratio : {"mbu", "mfu", "roof_fraction", "kv_used_fraction", "prefix_hit_fraction", "predicted_over_measured"}) {
        EXPECT_TRUE(json["now"][ratio].is_null()) << ratio;
    }
    for (const char* rate : {"decode_tokens_per_s", "prefill_tokens_per_s", "drafted_per_s", "accepted_per_s"}) {
        EXPECT_EQ(json["now"][rate], 0.0) << rate;
    }
    watch.record(step_of(0.1), input.now_seconds);
    const auto after = roofline_json(input);
    for (const char* unknown : {"flops_per_byte", "flop_per_s", "bytes_per_s", "predicted_seconds", "bound"}) {
        EXPECT_TRUE(after["steps"][0][unknown].is_null()) << unknown;
    }
    EXPECT_NEAR(after["steps"][0]["measured_seconds"].get<double>(), 0.1, 1e-9);
}

TEST(RooflineView, WhileALongStepIsUnderWayTheRatesAreThoseOfTheStepsBefore) {
    StepWatch watch;
    for (int i = 0; i < 20; ++i) watch.record(step_of(0.1), 1000.0 + 0.1 * i);
    RooflineInput input{.model_name = "m",
                        .machine = std::nullopt,
                        .watch = watch,
                        .engine = {},
                        .load = {},
                        .verdict = std::nullopt,
                        .now_seconds = 1008.0};
    EXPECT_EQ(roofline_json(input)["now"]["decode_tokens_per_s"], 0.0);
    input.engine.n_running = 1;
    EXPECT_NEAR(roofline_json(input)["now"]["decode_tokens_per_s"].get<double>(), 40.0, 4.0);
}

}  // namespace
}  // namespace rafter::server
