// What makes a plan doubtful stands first in every form of the answer.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "planning/plan_report.h"

namespace rafter::planning {
namespace {

const std::string kAssumedCases = std::string(RAFTER_SOURCE_DIR) + "/tests/model/hf/cases/";

struct Answers {
    std::string text, json, html, svg;
};
Answers answers(const PlanOptions& options) {
    const auto request = make_request(options, {});
    EXPECT_TRUE(request) << request.error().message;
    if (!request) return {};
    const roofline::Plan plan = roofline::make_plan(request->scenario);
    return {.text = plan_text(*request, plan, {}),
            .json = plan_json(*request, plan, {}),
            .html = plan_html(*request, plan),
            .svg = plan_svg(*request, plan)};
}

TEST(AssumedPlan, SaysFirstAsWhatItIsPlanned) {
    const Answers a = answers({.model = kAssumedCases + "foo-unknown.json", .assume = "llama", .hardware = "H100-SXM"});
    EXPECT_TRUE(a.text.starts_with("Not certain: planned as llama")) << a.text.substr(0, 200);
    EXPECT_TRUE(a.json.starts_with("{\n \"assumed\": [\n  \"planned as llama")) << a.json.substr(0, 200);
    const std::size_t said = a.html.find("planned as llama");
    ASSERT_NE(said, std::string::npos);
    EXPECT_LT(said, a.html.find("next token"));
    const std::size_t first_text = a.svg.find("<text");
    ASSERT_NE(first_text, std::string::npos);
    EXPECT_NE(a.svg.substr(first_text, 200).find("planned as llama"), std::string::npos);
}

TEST(AssumedPlan, IsRefusedWithoutAWordOfIt) {
    EXPECT_FALSE(make_request({.model = kAssumedCases + "foo-unknown.json", .hardware = "H100-SXM"}, {}));
    EXPECT_FALSE(make_request({.model = kAssumedCases + "bert-base.json", .hardware = "H100-SXM"}, {}));
    EXPECT_FALSE(make_request({.model = kAssumedCases + "foo-unknown.json", .assume = "lama", .hardware = "H100-SXM"}, {}));
}

TEST(AssumedPlan, SaysFirstThatADeviceIsInTheWrongUnits) {
    const std::string path = testing::TempDir() + "wrong_units.json";
    std::ofstream(path) << R"({"name": "x", "flop_per_s": {"bf16": 989}, "memory_bytes": 80e9, "memory_bandwidth_bytes_per_s": 3.35e12})";
    const Answers a = answers({.model = "Llama-3.1-8B", .hardware = path});
    EXPECT_TRUE(a.text.starts_with("Not certain: " + path + ": flop_per_s.bf16 is 989 FLOP/s")) << a.text.substr(0, 300);
    EXPECT_EQ(a.json.find("{\n \"assumed\": [\n  \"" + path + ": flop_per_s.bf16"), 0U) << a.json.substr(0, 300);
    EXPECT_NE(a.html.find("989e12 for 989 TFLOP/s"), std::string::npos);
    EXPECT_NE(a.svg.find("989e12 for 989 TFLOP/s"), std::string::npos);
    std::remove(path.c_str());
}

TEST(AssumedPlan, OfAKnownDecoderHasNothingToSay) {
    const Answers a = answers({.model = kAssumedCases + "nemotron-h-8b.json", .hardware = "H100-SXM"});
    EXPECT_EQ(a.text.find("Not certain"), std::string::npos);
    EXPECT_TRUE(a.json.starts_with("{\n \"assumed\": [],")) << a.json.substr(0, 200);
}

}  // namespace
}  // namespace rafter::planning
