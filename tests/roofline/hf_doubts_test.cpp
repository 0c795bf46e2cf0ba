// Configs with a fault or an odd key: each is refused with the key's name, or its answer says first what is not certain.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/catalog.h"
#include "model/hf_config.h"
#include "roofline/plan.h"

namespace rafter::roofline {
namespace {

constexpr const char* kLlama = R"({"model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 1000})";

// A family's defaults, or the small Llama, with these keys over them.
Result<model::DescribedModel> read(const std::string& base, const std::string& changes) {
    const std::string text = base == "llama" ? kLlama : R"({"model_type": ")" + base + R"("})";
    nlohmann::json json = nlohmann::json::parse(text);
    json.update(nlohmann::json::parse(changes));
    return model::read_hf_config(json, "config.json");
}

bool says(const model::DescribedModel& m, const std::string& word) {
    return std::ranges::any_of(m.assumed, [&](const std::string& line) { return line.find(word) != std::string::npos; });
}

struct Doubt {
    const char* base;
    const char* changes;
    const char* word;  // of the refusal or of the doubt
};

TEST(HfDoubts, RefuseWhatCannotBeRead) {
    const Doubt cases[] = {
        {"llama", R"({"layer_types": ["full_attention"]})", "layer_types"},
        {"llama", R"({"layer_types": "full_attention"})", "layer_types"},
        {"llama", R"({"num_attention_heads": 0})", "num_attention_heads"},
        {"llama", R"({"num_attention_heads": null})", "num_attention_heads"},
        {"llama", R"({"num_key_value_heads": []})", "num_key_value_heads"},
        {"llama", R"({"head_dim": ["64"]})", "head_dim"},
        {"llama", R"({"use_bidirectional_attention": true})", "use_bidirectional_attention"},
        {"llama", R"({"is_causal": false})", "is_causal"},
        {"llama", R"({"is_encoder_decoder": true})", "is_encoder_decoder"},
        {"llama", R"({"quantization_config": "awq"})", "quantization_config"},
        {"llama", R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": "128"}})", "group_size"},
        {"llama", R"({"quantization_config": {"quant_method": "compressed-tensors",
            "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": "4"}}}}})",
         "num_bits"},
        {"llava", R"({"text_config": {"model_type": "mega_lm", "hidden_size": 512}})", "mega_lm"},
        {"llava", R"({"text_config": {"model_type": "bert", "hidden_size": 512}})", "bert"},
        {"qwen3_moe", R"({"moe_intermediate_size": 0})", "moe_intermediate_size"},
        {"qwen3_moe", R"({"moe_intermediate_size": null})", "moe_intermediate_size"},
        {"llama", R"({"intermediate_size": null})", "intermediate_size"},
        {"glm4_moe", R"({"mlp_layer_types": ["dense"]})", "mlp_layer_types"},
        {"llama4_text", R"({"no_rope_layers": [1, 0]})", "no_rope_layers"},
        {"llama4_text", R"({"moe_layers": [100]})", "moe_layers"},
        {"bamba", R"({"attn_layer_indices": [99]})", "attn_layer_indices"},
        {"mimo_v2_flash", R"({"hybrid_layer_pattern": [0, 1]})", "hybrid_layer_pattern"},
        {"mimo_v2_flash", R"({"moe_layer_freq": [0, 1]})", "moe_layer_freq"},
        {"minimax", R"({"attn_type_list": [0, 1]})", "attn_type_list"},
        {"kimi_linear", R"({"linear_attn_config": {"num_heads": 32, "head_dim": 128, "full_attn_layers": [40]}})", "full_attn_layers"},
        {"zamba2", R"({"hybrid_layer_ids": [100]})", "hybrid_layer_ids"},
        {"nemotron-nas", R"({"num_hidden_layers": 2, "block_configs": [{}]})", "block_configs"},
        {"nemotron-nas", R"({"num_hidden_layers": 1, "block_configs": ["x"]})", "block_configs"},
        {"nemotron-nas", R"({"num_hidden_layers": 1, "block_configs": [{"attention": {"n_heads_in_group": 8}, "ffn": {}}]})", "ffn_mult"},
    };
    for (const Doubt& c : cases) {
        const auto m = read(c.base, c.changes);
        ASSERT_FALSE(m) << c.base << " " << c.changes;
        EXPECT_NE(m.error().message.find(c.word), std::string::npos) << c.changes << ": " << m.error().message;
    }
}

TEST(HfDoubts, SayFirstWhatTheyDoNotKnow) {
    const Doubt cases[] = {
        {"llama", R"({"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention"]})",
         "no sliding_window"},
        {"llama", R"({"layer_types": ["full_attention", "full_attention", "full_attention", "full_attention", "full_attention"]})",
         "5 values for 4 layers"},
        {"llama", R"({"hybrid_override_pattern": "M-M-"})", "hybrid_override_pattern"},
        {"llama", R"({"layers_block_type": ["mamba"]})", "layers_block_type"},
        {"llama", R"({"num_local_experts": 8, "num_experts_per_tok": 2})", "not known to have experts"},
        {"llama", R"({"kv_lora_rank": 64})", "not known to have latent attention"},
        {"llama", R"({"use_cla": true})", "use_cla"},
        {"llama", R"({"cross_decoder_start_layer": 2})", "cross_decoder_start_layer"},
        {"llama", R"({"architectures": ["MixtralForCausalLM"]})", "MixtralForCausalLM"},
        {"llama", R"({"architectures": ["LlamaModel"]})", "no head"},
        {"llama", R"({"torch_dtype": 16})", "dtype"},
        {"llama", R"({"quantization_config": {"quant_method": "quark"}})", "quark"},
        {"llama", R"({"quantization_config": {"quant_method": "torchao", "quant_type": "uintx"}})", "torchao"},
        {"llama", R"({"quantization_config": {"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}})", "FP8"},
        {"gemma3_text", R"({"sliding_window_pattern": "SSG"})", "sliding_window_pattern"},
        {"phi4mm", R"({"img_processor": null, "audio_processor": {"name": "x"}, "vision_lora": {}})", "vision and audio"},
        {"mistral", R"({"num_hidden_layers": 80})", "hidden_size = 4096"},
        {"phi3_v", "{}", "vision"},
        {"molmo", "{}", "vision"},
        {"qwen3_vl_moe", R"({"moe_period": 2, "text_config": {"model_type": "qwen3_vl_moe_text"}})", "moe_period"},
        {"nemotron-nas", R"({"num_hidden_layers": 1, "block_configs":
            [{"attention": {"n_heads_in_group": 8, "window_length": 8192}, "ffn": {"ffn_mult": 2.0}}]})",
         "window_length"},
    };
    for (const Doubt& c : cases) {
        const auto m = read(c.base, c.changes);
        ASSERT_TRUE(m) << c.base << " " << c.changes << ": " << m.error().message;
        EXPECT_TRUE(says(*m, c.word)) << c.base << " " << c.changes;
    }
}

// Families that lay out their own layers know the kinds that they have, and no other.
TEST(HfDoubts, SayUnknownKindsOfEveryFamily) {
    for (const char* family : {"llama", "falcon", "stablelm", "apertus", "jamba", "falcon_h1", "gemma3n_text", "gemma4_text", "mamba2",
                               "rwkv", "arctic", "zamba2", "longcat_flash", "mimo_v2_flash", "lfm2", "qwen3_next", "kimi_linear"}) {
        const auto plain = read(family, "{}");
        ASSERT_TRUE(plain) << family << ": " << plain.error().message;
        const nlohmann::json kinds = std::vector<std::string>(plain->config.n_layers, "quantum_attention");
        const auto m = read(family, nlohmann::json{{"layer_types", kinds}}.dump());
        ASSERT_TRUE(m) << family << ": " << m.error().message;
        EXPECT_TRUE(says(*m, "quantum_attention")) << family;
        EXPECT_FALSE(says(*plain, "layer_types")) << family;
    }
}

TEST(HfDoubts, AreNoneOfTheCatalogsModels) {
    for (const model::CatalogModel& row : model::catalog())
        EXPECT_TRUE(row.model.assumed.empty()) << row.model.name << row.model.assumed.front();
}

TEST(HfDoubts, TakeTheFilesNameOfACountOverTheFamilysOwn) {
    const auto m = read("qwen3_moe", R"({"num_experts": 160})");  // whose class calls it num_local_experts and has 128
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(m->config.moe.n_experts, 160U);
}

TEST(HfDoubts, CountNoCacheOfLayersThatReadAnothers) {
    const char* keys = R"({"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 1000, "cla_share_factor": 2, "use_cla": )";
    const auto all = read("hunyuan", std::string(keys) + "false}");
    const auto shared = read("hunyuan", std::string(keys) + "true}");
    ASSERT_TRUE(all && shared);
    EXPECT_EQ(kv_bytes_per_token(plan_described(*shared).fused, {}) * 2, kv_bytes_per_token(plan_described(*all).fused, {}));
}

TEST(HfDoubts, ReadAttentionWithoutALatentWhereTheFileSwitchesItOff) {
    const auto m = read("deepseek_v2", R"({"hidden_size": 1280, "num_hidden_layers": 12, "num_attention_heads": 10,
        "num_key_value_heads": 10, "num_experts_per_tok": 6, "use_mla": false})");
    ASSERT_TRUE(m) << m.error().message;
    EXPECT_EQ(kv_bytes_per_token(plan_described(*m).fused, {}), 12 * 2 * 1280 * 2);
}

TEST(HfDoubts, LeaveModulesAloneThatAQuantisationNamesOneByOne) {
    const double d = 512;
    const double attention = 4 * (2 * d * d + 2 * d * 256);
    const double ffn = 4 * 3 * d * 1024;
    const double rest = 2 * (2 * 1000 * d + 9 * d);
    const auto bytes = [](const std::string& quantization) {
        const auto m = read("llama", R"({"quantization_config": )" + quantization + "}");
        EXPECT_TRUE(m) << quantization;
        const PlannedModel planned = plan_described(*m);
        return weight_bytes(planned.fused, planned.native.cost_options());
    };
    const double four = (4 + 20.0 / 128) / 8;
    // GPTQ has 32 bits more a column: an index.
    const double ffn_index = 4 * 4.0 * (2 * d + 1024);
    const double attention_index = 4 * 4.0 * 4 * d;
    EXPECT_NEAR(bytes(R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"-:.*self_attn.*": {}}})"),
                rest + 2 * attention + four * ffn + ffn_index, 1);
    EXPECT_NEAR(bytes(R"({"quant_method": "gptq", "bits": 4, "group_size": 128,
                          "modules_in_block_to_quantize": [["mlp.up_proj", "mlp.gate_proj"], ["mlp.down_proj"]]})"),
                rest + 2 * attention + four * ffn + ffn_index, 1);
    EXPECT_NEAR(bytes(R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"+:.*self_attn.*": {"bits": 8}}})"),
                rest + (8 + 24.0 / 128) / 8 * attention + attention_index + four * ffn + ffn_index, 1);
    EXPECT_NEAR(bytes(R"({"quant_method": "quark", "exclude": ["re:.*self_attn.*"],
                          "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}}})"),
                rest + 2 * attention + 4.25 / 8 * ffn, 1);
    EXPECT_NEAR(bytes(R"({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig",
                          "_data": {"group_size": 128}}}})"),
                rest + 4.25 / 8 * (attention + ffn), 1);
    EXPECT_NEAR(bytes(R"({"bits": 4, "group_size": 64})"), 4.5 / 8 * (attention + ffn + 2 * 1000 * d) + 2 * 9 * d, 1);  // MLX
}

}  // namespace
}  // namespace rafter::roofline
