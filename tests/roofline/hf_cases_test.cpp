// Published models by their config.json, as they are planned: parameters, caches, states and what the answer says first. The values are
// of the models' cards and papers.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/catalog.h"
#include "model/hf_config.h"
#include "roofline/plan.h"

namespace rafter::roofline {
namespace {

Result<model::DescribedModel> read(const std::string& name, const model::HfOptions& options = {}) {
    const std::string path = std::string(RAFTER_SOURCE_DIR) + "/tests/model/hf/cases/" + name + ".json";
    RAFTER_TRY(const nlohmann::json json, read_json_file(path));
    return model::read_hf_config(json, name, options);
}

PlannedModel planned_case(const std::string& name) {
    const auto described = read(name);
    EXPECT_TRUE(described) << described.error().message;
    return plan_described(*described);
}

struct Case {
    const char* name;
    double parameters, active;  // active: with every matrix
    double growing_kv_bytes, kv_bytes;
    bool has_state = false;
    double without_embedding = 0.0;  // 0: not published
};

constexpr Case kCases[] = {
    {"nemotron-h-8b", 8.1e9, 8.1e9, 16384, 16384, true},
    {"nemotron3-nano-30b", 31.6e9, 3.58e9, 6144, 6144, true},
    {"granite4-h-small", 32.2e9, 8.8e9, 16384, 16384, true},
    {"qwen3-next-80b", 79.7e9, 3.87e9, 24576, 24576, true, 3.56e9},
    {"qwen3.6-35b-a3b", 34.66e9, 3.45e9, 20480, 20480, true, 2.95e9},
    {"llama4-maverick", 400.7e9, 17.2e9, 49152, 196608},
    {"llama4-scout", 107.8e9, 17.2e9, 49152, 196608},
    {"gemma3-4b-it", 3.88e9, 3.88e9, 20480, 139264},
    {"gemma3-4b-it-vocab", 3.88e9, 3.88e9, 20480, 139264},
    {"gemma3-12b-it", 11.77e9, 11.77e9, 65536, 393216},
    {"gemma3-27b", 27.0e9, 27.0e9, 81920, 507904},
    {"gemma3-27b-it-vocab", 27.0e9, 27.0e9, 81920, 507904},
    // 70,272 of the latent, and of each of 61 layers' indexer 128 bytes of fp8 and a float.
    {"deepseek-v3.2", 671.9e9, 38.4e9, 70272 + 61 * 132.0, 70272 + 61 * 132.0, false, 37.5e9},
    {"command-r", 35.0e9, 35.0e9, 1310720, 1310720},
    {"qwen2.5-vl-7b", 7.62e9, 7.62e9, 57344, 57344},
};

TEST(HfCases, HavePublishedParametersCachesAndStates) {
    for (const Case& c : kCases) {
        const PlannedModel m = planned_case(c.name);
        EXPECT_NEAR(parameters(m.fused), c.parameters, 0.01 * c.parameters) << c.name;
        EXPECT_NEAR(active_parameters(m.fused), c.active, 0.01 * c.active) << c.name;
        EXPECT_EQ(growing_kv_bytes_per_token(m.fused, {}), c.growing_kv_bytes) << c.name;
        EXPECT_EQ(kv_bytes_per_token(m.fused, {}), c.kv_bytes) << c.name;
        EXPECT_EQ(state_bytes_per_sequence(m.fused) > 0, c.has_state) << c.name;
        if (c.without_embedding > 0) {
            EXPECT_NEAR(active_without_embedding(m.fused), c.without_embedding, 0.01 * c.without_embedding) << c.name;
        }
    }
}

TEST(HfCases, KeepAStateThatDoesNotGrow) {
    const PlannedModel m = planned_case("nemotron-h-8b");
    const double layer = 128 * 64 * 128 + 3 * (128 * 64 + 2 * 8 * 128);  // heads x head_dim x state, and the convolution's inputs
    EXPECT_EQ(state_bytes_per_sequence(m.fused), 24 * layer * 2);
    EXPECT_EQ(kv_bytes_per_sequence(m.fused, {}, 1000) - kv_bytes_per_sequence(m.fused, {}, 0), 16384.0 * 1000);
    EXPECT_EQ(kv_bytes_per_sequence(m.fused, {}, 0), state_bytes_per_sequence(m.fused));
}

// All of a list's ops.
OpCost step_of(const PlannedModel& m, const Step& step) {
    OpCost sum;
    for (const CountedOp& op : m.fused.ops) sum += cost_of(m.fused, op, step, m.native.cost_options()).scaled(op.count);
    return sum;
}

TEST(HfCases, ReadTheirStatesAndCachesOnceAStep) {
    for (const char* name : {"nemotron-h-8b", "qwen3-next-80b", "granite4-h-small", "gemma3-27b", "llama4-scout"}) {
        const PlannedModel m = planned_case(name);
        for (const double n_context : {100.0, 5000.0}) {
            const OpCost cost = step_of(m, decode_step(3, n_context));
            EXPECT_NEAR(cost.kv_read_bytes, 3 * kv_bytes_per_sequence(m.fused, {}, n_context), 1) << name;
        }
    }
}

TEST(HfCases, ReadOfLayersWithHeadsOfTheirOwnWhatEachKeeps) {
    const PlannedModel m = plan_described(model::find_in_catalog("Gemma-4-31B")->model);
    const double sliding = 2.0 * 16 * 256 * 2;  // of 50 layers
    const double full = 2.0 * 4 * 512 * 2;      // of 10
    EXPECT_EQ(kv_bytes_per_sequence(m.fused, {}, 5000), 50 * sliding * 1024 + 10 * full * 5000);
    EXPECT_NEAR(step_of(m, decode_step(1, 5000)).kv_read_bytes, 50 * sliding * 1024 + 10 * full * 5000, 1);
}

TEST(HfCases, ReadOfDeepSeekV32TheIndexAndTheChosenPositions) {
    const PlannedModel m = planned_case("deepseek-v3.2");
    EXPECT_NEAR(step_of(m, decode_step(1, 10000)).kv_read_bytes, 61 * (576.0 * 2 * 2048 + 132.0 * 10000), 1);
}

TEST(HfCases, EndGrowthAtWindowsAndChunks) {
    const PlannedModel m = planned_case("llama4-scout");
    EXPECT_EQ(kv_bytes_per_sequence(m.fused, {}, 8192), 196608.0 * 8192);
    EXPECT_EQ(kv_bytes_per_sequence(m.fused, {}, 100000), 147456.0 * 8192 + 49152.0 * 100000);
}

TEST(HfCases, CountScalesZerosAndModulesThatWereNotQuantised) {
    const auto bytes = [](const char* name) {
        const PlannedModel m = planned_case(name);
        return weight_bytes(m.fused, m.native.cost_options());
    };
    const double linears = 32.0 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336.0);
    const double rest = 2 * (2 * 128256 * 4096.0 + 65 * 4096);
    EXPECT_NEAR(bytes("qwen2.5-7b-awq"), 5.57e9, 0.01e9);
    EXPECT_NEAR(bytes("llama405-fbgemm") / 1073741824.0, 454, 1);
    EXPECT_NEAR(bytes("llama8-gptq"), linears * (4 + 20.0 / 128) / 8 + rest, 0.01e9);  // and an index a column
    EXPECT_NEAR(bytes("llama8-ct-w4a16"), linears * (4 + 16.0 / 128) / 8 + rest, 1);
    EXPECT_NEAR(bytes("llama8-modelopt-nvfp4"), linears * 4.5 / 8 + rest, 1);
    EXPECT_NEAR(bytes("llama8-bnb4"), linears * 4.5 / 8 + rest, 1);
}

TEST(HfCases, AreRefusedWhenTheyAreNoDecodersOrNotKnown) {
    const auto message = [](const char* name) {
        const auto m = read(name);
        EXPECT_FALSE(m) << name;
        return m ? std::string() : m.error().message;
    };
    EXPECT_NE(message("bert-base").find("an encoder"), std::string::npos);
    EXPECT_NE(message("foo-unknown").find("foobar"), std::string::npos);
    EXPECT_NE(message("foo-unknown").find("--assume"), std::string::npos);
    EXPECT_NE(message("noarch").find("found none. --assume"), std::string::npos) << "nothing is near to no name";
    const auto json = parse_json(R"({"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"})", "config.json");
    const auto classifier = model::read_hf_config(*json, "config.json");
    ASSERT_FALSE(classifier);
    EXPECT_NE(classifier.error().message.find("LlamaForSequenceClassification"), std::string::npos);
}

TEST(HfCases, ThatAreAssumedToBeOfAFamilySaySoFirst) {
    for (const char* name : {"foo-unknown", "noarch"}) {
        const auto m = read(name, {.assume = "llama"});
        ASSERT_TRUE(m) << m.error().message;
        const PlannedModel planned = plan_described(*m);
        ASSERT_FALSE(planned.assumed.empty());
        EXPECT_NE(planned.assumed.front().find("--assume"), std::string::npos);
        EXPECT_EQ(parameters(planned.fused), 8030261248.0);
    }
    EXPECT_FALSE(read("foo-unknown", {.assume = "lama"}));
}

TEST(HfCases, OfNoModelTypeAreKnownByTheirArchitecture) {
    const auto json = parse_json(R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 152064, "hidden_size": 3584,
        "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4})",
                                 "config.json");
    const auto m = model::read_hf_config(*json, "config.json");
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(parameters(plan_described(*m).fused), 7615616512.0);
}

// What each method stores beside its integers, on one matrix of a small model.
TEST(HfCases, CountEachMethodsScales) {
    const auto bits_of = [](const std::string& quantization) {
        const auto json = parse_json(R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 4096, "num_hidden_layers": 1,
            "num_attention_heads": 32, "vocab_size": 1000, "quantization_config": )" +
                                         quantization + "}",
                                     "config.json");
        const auto m = model::read_hf_config(*json, "config.json");
        EXPECT_TRUE(m) << m.error().message;
        const PlannedModel planned = plan_described(*m);
        const double rest = 2 * 1000 * 4096 + 3 * 4096;
        const double bytes = weight_bytes(planned.fused, planned.native.cost_options()) - 2 * rest;
        return bytes * 8 / (parameters(planned.fused) - rest);
    };
    const std::pair<const char*, double> cases[] = {
        {R"({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}})", 4.5},
        {R"({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_use_double_quant": true})", 4 + 8.0 / 64 + 32.0 / 16384},
        {R"({"quant_method": "bitsandbytes", "load_in_8bit": true})", 8 + 32.0 / 4096},
        {R"({"quant_method": "fp8", "weight_block_size": [128, 128]})", 8 + 32.0 / 16384},
        {R"({"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["lm_head"]})", 8},
        {R"({"quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]}})", 4.5},
        {R"({"quant_method": "mxfp4"})", 4.25},
        {R"({"quant_method": "auto-round", "bits": 4, "group_size": 128})", 4 + 20.0 / 128 + 32.0 / 4096},
        {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}, "input_activations": {"num_bits": 8, "type": "float"}}}})",
         8 + 16.0 / 4096},
        {R"({"quant_method": "compressed-tensors", "ignore": ["re:.*"], "config_groups": {"g": {"targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}}}})",
         16},
        {R"({"quant_method": "gptq", "bits": 8, "group_size": -1})", 8 + 24.0 / 4096 + 32.0 / 4096},
    };
    for (const auto& [config, expected] : cases) EXPECT_NEAR(bits_of(config), expected, 1e-9) << config;
}

TEST(HfCases, OfAnUnknownMethodSaySoFirst) {
    const auto json = parse_json(R"({"model_type": "llama", "quantization_config": {"quant_method": "wizardry"}})", "config.json");
    const auto m = model::read_hf_config(*json, "config.json");
    ASSERT_TRUE(m) << m.error().message;
    ASSERT_FALSE(m->assumed.empty());
    EXPECT_NE(m->assumed.front().find("wizardry"), std::string::npos);
}

TEST(HfCases, SayWhichPartsAreLeftOut) {
    const PlannedModel m = planned_case("qwen2.5-vl-7b");
    ASSERT_FALSE(m.assumed.empty());
    EXPECT_NE(m.assumed.front().find("vision"), std::string::npos);
}

TEST(HfCases, SayUnknownKindsOfLayersAndKeysThatLookLikeStructure) {
    const auto json = parse_json(R"({"model_type": "llama", "hidden_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
        "vocab_size": 1000, "layer_types": ["full_attention", "quantum_attention"], "wormhole_pattern": 3, "moe_gizmo": 2,
        "rope_scaling": null, "moe_layer_freq": 1})",
                                 "config.json");
    ASSERT_TRUE(json);
    const auto m = model::read_hf_config(*json, "config.json");
    ASSERT_TRUE(m) << m.error().message;
    const auto says = [&](const char* word) {
        return std::ranges::any_of(m->assumed, [&](const std::string& line) { return line.find(word) != std::string::npos; });
    };
    EXPECT_TRUE(says("quantum_attention"));
    EXPECT_TRUE(says("wormhole_pattern"));
    EXPECT_TRUE(says("moe_gizmo"));
    EXPECT_FALSE(says("moe_layer_freq"));
    EXPECT_FALSE(says("rope_scaling"));
}

}  // namespace
}  // namespace rafter::roofline
