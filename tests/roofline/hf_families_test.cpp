// Each family's parameters against Hugging Face's own model classes: tests/model/hf/count.py wrote what they have on torch's meta device.
#include <gtest/gtest.h>

#include "model/hf_config.h"
#include "roofline/plan.h"

namespace rafter::roofline {
namespace {

nlohmann::json families() {
    const auto json = read_json_file(std::string(RAFTER_SOURCE_DIR) + "/tests/model/hf/families.json");
    EXPECT_TRUE(json) << json.error().message;
    return *json;
}

TEST(HfFamilies, HaveTheParametersOfHuggingFacesOwnClasses) {
    std::size_t n_counted = 0;
    for (const nlohmann::json& entry : families()) {
        if (!entry.contains("counts")) continue;
        const std::string name = entry["name"];
        const auto described = model::read_hf_config(entry["config"], name);
        if (!described) {
            ADD_FAILURE() << name << ": " << described.error().message;
            continue;
        }
        const PlannedModel planned = plan_described(*described);
        const double expected = entry["counts"]["parameters"];
        const double found = parameters(planned.fused);
        EXPECT_EQ(found, expected) << name << ": off by " << found - expected;
        EXPECT_EQ(parameters(planned.unfused), found) << name;
        // JetMoe's attention has experts too, which its first line says.
        const double active = entry["counts"]["active_parameters"];
        if (entry["config"]["model_type"] != "jetmoe") {
            EXPECT_NEAR(active_parameters(planned.fused), active, 1e-4 * active) << name;
        }
        ++n_counted;
    }
    EXPECT_GE(n_counted, 100U);
}

}  // namespace
}  // namespace rafter::roofline
