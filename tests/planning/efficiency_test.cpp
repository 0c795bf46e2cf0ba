// The kinds of devices and the keys of a file.
#include "planning/efficiency.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hardware/catalog.h"
#include "model/catalog.h"
#include "roofline/plan.h"

namespace rafter::planning {
namespace {

using roofline::Efficiency;

Efficiency typical(const char* name) { return typical_efficiency(hardware::find_in_catalog(name)->hardware); }

class EfficiencyFile : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        path_ = std::filesystem::temp_directory_path() / (std::string("rafter_efficiency_") + test->name() + ".json");
    }
    void TearDown() override { std::filesystem::remove(path_); }
    Result<Efficiency> read(const std::string& text) {
        std::ofstream(path_) << text;
        return read_efficiency(path_, {}, warnings_);
    }

    std::string path_;
    std::vector<std::string> warnings_;
};

TEST(TypicalEfficiency, GoesByTheKindOfDevice) {
    EXPECT_EQ(typical("H100-SXM").name, "typical of data-centre GPUs");
    EXPECT_EQ(typical("A100-80GB").name, typical("L40S").name);
    EXPECT_EQ(typical("RTX-4090").name, "typical of RTX GPUs");
    EXPECT_EQ(typical("A6000").name, "typical of RTX GPUs");
    EXPECT_EQ(typical("MI300X").name, "typical of AMD Instinct GPUs");
    EXPECT_EQ(typical("RX-9070-XT").name, "typical of AMD Radeon GPUs");
    EXPECT_EQ(typical("M2-Ultra").name, "typical of Apple GPUs");
    EXPECT_EQ(typical("TPU-v5e").name, "typical of TPUs and other accelerators");
    EXPECT_EQ(typical("EPYC-9654").name, "typical of CPUs");
    EXPECT_EQ(typical("Xeon-8480").name, "typical of CPUs");
    EXPECT_EQ(typical_efficiency({.name = "mine"}).name, "typical of data-centre GPUs");
}

TEST(TypicalEfficiency, IsSlowerThanTheIdealOnEveryDevice) {
    for (const char* name : {"Llama-3.1-8B", "gpt-oss-20b", "DeepSeek-V3"}) {
        const roofline::PlannedModel m = roofline::plan_described(model::find_in_catalog(name)->model);
        for (const hardware::CatalogRow& row : hardware::catalog()) {
            roofline::Setup ideal{.hardware = row.hardware, .types = m.native};
            roofline::Setup real = ideal;
            real.efficiency = typical_efficiency(row.hardware);
            for (const roofline::Step& step : {roofline::decode_step(1, 100), roofline::decode_step(256, 4000),
                                               roofline::prefill_step(1, 16), roofline::prefill_step(8, 9000)}) {
                const double best = roofline::price_step(m.fused, ideal, step).seconds;
                const roofline::PricedStep price = roofline::price_step(m.fused, real, step);
                EXPECT_GT(price.seconds, best) << name << " on " << row.hardware.name;
                EXPECT_LT(price.seconds, 40 * best) << name << " on " << row.hardware.name;
                EXPECT_LT(price.mbu, 1.0);
                EXPECT_LT(price.mfu, 1.0);
            }
        }
    }
}

TEST_F(EfficiencyFile, KeepsEveryKeyThroughJson) {
    const Efficiency typical_gpu = typical("H200");
    const auto json = efficiency_json(typical_gpu);
    auto file = json;
    file.erase("name");
    const auto back = read(file.dump());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(warnings_.empty());
    auto again = efficiency_json(*back);
    again["name"] = json["name"];
    EXPECT_EQ(again, json);
}

TEST_F(EfficiencyFile, WithoutKeysIsTheIdeal) {
    const auto found = read("{}");
    ASSERT_TRUE(found);
    auto json = efficiency_json(*found);
    json["name"] = "ideal";
    EXPECT_EQ(json, efficiency_json({}));
}

TEST_F(EfficiencyFile, SaysWhatItDoesNotTake) {
    EXPECT_FALSE(read(R"({"flop_fraction": 1.5})"));
    EXPECT_FALSE(read(R"({"overlap": -0.1})"));
    EXPECT_FALSE(read(R"({"expert_skew": "much"})"));
    EXPECT_FALSE(read(R"({"engine_collectives": 1})"));
    EXPECT_TRUE(read(R"({"overlapp": 0.5})"));
    ASSERT_EQ(warnings_.size(), 1U);
    EXPECT_NE(warnings_[0].find("did you mean overlap"), std::string::npos);
}

}  // namespace
}  // namespace rafter::planning
